// The released file in LiteRT.js: checked before it is loaded, then asked.

import { loadAndCompile, loadLiteRt, Tensor } from "./runtime/index.js";
import { BLUR_SIZE, blurScore, readPixels, resize } from "./pixels.js";

export const RUNTIME = "LiteRT.js";

/** Something of this page is missing or not what was released; the message is for the visitor. */
export class RefusedError extends Error {}

/** Return the SHA-256 of bytes, in hexadecimal. */
export async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return `files.json`, which names every file of this page, and its own SHA-256. */
export async function loadSite() {
  if (!globalThis.isSecureContext) {
    throw new RefusedError(
      "This page was opened by plain http, where browsers cannot check files. Open it by https, " +
        "or on the computer that serves it.",
    );
  }
  const bytes = await fetchBytes("files.json");
  return { ...JSON.parse(new TextDecoder().decode(bytes)), version: await sha256(bytes) };
}

async function fetchBytes(path, cache = "default") {
  const response = await fetch(path, { cache }).catch(() => null);
  if (!response?.ok) throw new RefusedError(`${path} cannot be loaded. Try again with a network.`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Return the bytes of one of the site's files, which must have the SHA-256 in `files.json`. */
export async function fetchChecked(site, path) {
  let bytes = await fetchBytes(path);
  let found = await sha256(bytes);
  if (found !== site.files[path]) {
    // A browser may have kept one of an older version of this page.
    bytes = await fetchBytes(path, "reload");
    found = await sha256(bytes);
  }
  if (found !== site.files[path]) {
    throw new RefusedError(
      `${path} is not the file that was released: its SHA-256 begins with ${found.slice(0, 12)}, ` +
        `not with ${String(site.files[path]).slice(0, 12)}. No photo is answered with it.`,
    );
  }
  return bytes;
}

export async function fetchCheckedJson(site, path) {
  return JSON.parse(new TextDecoder().decode(await fetchChecked(site, path)));
}

/** Load the release and return what asks its file. */
export async function loadClassifier(site) {
  const [description, bytes] = await Promise.all([
    fetchCheckedJson(site, "release/model.json"),
    fetchChecked(site, "release/model.tflite"),
    loadLiteRt("runtime/"),
  ]);
  if ((await sha256(bytes)) !== description.sha256) {
    throw new RefusedError(
      "model.tflite is not the file that model.json describes. No photo is answered with it.",
    );
  }
  const model = await loadAndCompile(bytes, { accelerator: "wasm" });
  const [input] = model.getInputDetails();
  const size = description.input.shape[1];
  const shape = Array.from(input.shape);
  if (input.dtype !== description.input.type || shape.join() !== `1,${size},${size},3`) {
    throw new RefusedError("model.tflite does not take the input that model.json describes.");
  }
  const classifier = { description, labels: description.labels, size };

  /** Return the probability of every class for RGB bytes of size x size pixels. */
  classifier.answerPixels = async (pixels) => {
    const values = input.dtype === "float32" ? Float32Array.from(pixels) : pixels;
    const tensor = new Tensor(values, shape);
    const [result] = await model.run(tensor);
    const probabilities = Array.from(result.toTypedArray());
    tensor.delete();
    result.delete();
    if (probabilities.length !== classifier.labels.length) {
      throw new RefusedError("model.tflite does not give one answer for each label.");
    }
    return probabilities;
  };
  return classifier;
}

/**
 * Answer a photo that `openPhoto` has opened, as `dermaface predict` does.
 *
 * Returns {probabilities, best, sure, set, blurred, milliseconds}; `best` are all classes with their
 * probabilities, likeliest first, `set` those that may be true, `milliseconds` those of the network.
 */
export async function answerPhoto(classifier, photo) {
  const { description, labels, size } = classifier;
  const small = readPixels(photo, 2 * size);
  const forBlur = size < BLUR_SIZE ? readPixels(photo, 2 * BLUR_SIZE) : small;
  const pixels = resize(small, size);
  const score = blurScore(resize(forBlur, BLUR_SIZE), BLUR_SIZE);
  const start = performance.now();
  const probabilities = await classifier.answerPixels(pixels);
  const milliseconds = performance.now() - start;
  const best = labels
    .map((label, index) => ({ label, probability: probabilities[index] }))
    .sort((a, b) => b.probability - a.probability);
  const possible = best.filter((entry) => entry.probability >= description.set_threshold);
  return {
    probabilities,
    best,
    milliseconds,
    sure: best[0].probability >= (description.min_confidence ?? 0),
    set: description.set_threshold === undefined || possible.length ? possible : best.slice(0, 1),
    blurred: score < (description.blur_threshold ?? 0),
  };
}
