// The golden pictures, answered on this device.

import { fetchChecked, fetchCheckedJson, RUNTIME } from "./classifier.js";
import { openPhoto, readPixels, resize } from "./pixels.js";

/** Return the greatest distance between two lists of probabilities. */
function distance(answer, expected) {
  return Math.max(...answer.map((value, index) => Math.abs(value - expected[index])));
}

/** Return what the browser tells of itself and of the device. */
async function describeDevice() {
  const asked = ["model", "platform", "platformVersion", "architecture", "fullVersionList"];
  const told = await navigator.userAgentData?.getHighEntropyValues(asked).catch(() => null);
  return {
    user_agent: navigator.userAgent,
    model: told?.model || null,
    platform: told ? `${told.platform} ${told.platformVersion}`.trim() : null,
    architecture: told?.architecture || null,
    processors: navigator.hardwareConcurrency ?? null,
    screen: `${screen.width} x ${screen.height}, ${devicePixelRatio} pixels each`,
  };
}

/**
 * Answer every golden picture, once from its pixels and once from its file, and report.
 *
 * The pixels show whether the network answers here as it did at home, the files whether this
 * browser also reads a photo as the notebook did; browsers decode JPEG each in their own way.
 */
export async function prove(site, classifier) {
  const golden = await fetchCheckedJson(site, "release/golden/expected.json");
  const answers = [];
  for (const entry of golden.pictures) {
    const files = {};
    for (const kind of ["input", "picture"]) {
      const bytes = await fetchChecked(site, `release/golden/${entry[kind]}`);
      const photo = await openPhoto(new Blob([bytes]));
      const pixels = resize(readPixels(photo, 2 * classifier.size), classifier.size);
      photo.bitmap.close();
      const start = performance.now();
      const probabilities = await classifier.answerPixels(pixels);
      files[kind] = { probabilities, milliseconds: performance.now() - start };
    }
    answers.push({
      picture: entry.picture,
      input_sha256: entry.input_sha256,
      picture_sha256: entry.picture_sha256,
      probabilities: files.input.probabilities,
      from_file: files.picture.probabilities,
      milliseconds: Math.min(files.input.milliseconds, files.picture.milliseconds),
    });
  }
  const off = (kind) =>
    answers.map((answer, index) => distance(answer[kind], golden.pictures[index].probabilities));
  const times = answers.map((answer) => answer.milliseconds).sort((a, b) => a - b);
  const [fromPixels, fromFiles] = [off("probabilities"), off("from_file")];
  const within = (values) => values.filter((value) => value <= golden.tolerance).length;
  const { name, version, variant, sha256, bytes } = classifier.description;
  return {
    report: "dermaface device report",
    made: new Date().toISOString(),
    model: { name, version, variant, sha256, bytes },
    runtime: `${RUNTIME} ${site.litertjs}, one thread`,
    device: await describeDevice(),
    labels: classifier.labels,
    tolerance: golden.tolerance,
    as_expected: within(fromPixels),
    as_expected_from_file: within(fromFiles),
    largest_difference: Math.max(...fromPixels),
    largest_difference_from_file: Math.max(...fromFiles),
    milliseconds: times[Math.floor(times.length / 2)],
    answers,
  };
}
