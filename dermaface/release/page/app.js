// The page itself: what is shown, and what the visitor does.

import { answerPhoto, loadClassifier, loadSite, sha256 } from "./classifier.js";
import { openPhoto } from "./pixels.js";
import { prove } from "./proof.js";

const element = (id) => document.getElementById(id);
const rows = [];
let classifier;

/** Return a new element with text in it. */
function make(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function say(state, verdict, detail = "") {
  element("proof").dataset.state = state;
  element("verdict").textContent = verdict;
  element("proof-detail").textContent = detail;
}

// Start ------------------------------------------------------------------------------------------

async function start() {
  const site = await loadSite();
  classifier = await loadClassifier(site);
  describe(classifier.description);
  show(await prove(site, classifier));
  keepForOffline(site).catch(() => {
    element("offline").textContent = "This browser has not kept the page: it needs a network.";
  });
}

/** Say why nothing is answered, and let go of what was kept, so that a mended page can take over. */
async function refuse(error) {
  document.documentElement.dataset.ready = "no";
  say("bad", "No photo is answered here.", error.message || String(error));
  element("about").textContent = "The model is not used.";
  const latest = await fetch("files.json?latest", { cache: "no-store" }).catch(() => null);
  if (!latest?.ok) return;
  for (const name of (await globalThis.caches?.keys()) ?? []) {
    if (name.startsWith(cachePrefix())) await caches.delete(name);
  }
  await (await navigator.serviceWorker?.getRegistration())?.unregister();
}

const cachePrefix = () => `dermaface ${new URL("./", location)} `;

function describe(model) {
  document.title = `${model.name}: photo classifier`;
  element("name").textContent = model.name;
  const size = Math.round(model.bytes / 1000).toLocaleString("en");
  element("about").textContent =
    `${model.labels.length} classes, ${model.variant}, ${size} KB, version ${model.version}`;
  element("notice").textContent = model.notice;
  element("notice").hidden = !model.notice;
  const percent = (share) => `${Math.round(share * 100)} %`;
  const meaning = [];
  if (model.min_confidence > 0) {
    meaning.push(
      `An answer below ${model.min_confidence.toFixed(2)} is called "not sure".` +
        (model.sure_accuracy
          ? ` That limit was chosen so that at least ${percent(model.sure_accuracy)} of sure answers are right.`
          : ""),
    );
  }
  if (model.set_threshold !== undefined) {
    const share = model.set_coverage ? ` for about ${percent(model.set_coverage)} of photos` : "";
    meaning.push(`"May be" names the classes among which the true one is${share}.`);
  }
  if (meaning.length) meaning.push("This holds for photos of the kind that the model was tested on.");
  element("meaning").textContent = meaning.join(" ");
}

/** Show the proof, and let photos in if the file answers here as it did at home. */
function show(report) {
  const asked = report.answers.length;
  const proven = report.as_expected === asked;
  const read = report.as_expected_from_file === asked;
  const off = (value) => (value && value < 0.001 ? "below 0.001" : value.toFixed(3));
  const time = report.milliseconds.toFixed(report.milliseconds < 10 ? 1 : 0);
  const verdict =
    `${report.as_expected} of ${asked} golden pictures answered as expected on this device, ` +
    `largest difference ${off(report.largest_difference)}, ${time} ms a photo`;
  const files =
    `Read from their files by this browser: ${report.as_expected_from_file} of ${asked}, ` +
    `largest difference ${off(report.largest_difference_from_file)}; ${off(report.tolerance)} is allowed.`;
  if (!proven) {
    say("bad", verdict, "The file does not answer here as it was measured, so no photo is answered.");
  } else if (!read) {
    say("warn", verdict, `${files} This browser reads photos differently, so expect other answers.`);
  } else {
    say("good", verdict, files);
  }
  const text = JSON.stringify(report, null, 1);
  element("report").value = text;
  element("save-report").href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  element("report-details").hidden = false;
  document.documentElement.dataset.ready = proven ? "yes" : "no";
  element("files").disabled = !proven;
  element("open-camera").disabled = !proven;
  if (!proven) element("about").textContent = "The model is not used.";
}

/** Keep the site and the build of the runtime that is in use; offer a newer version if there is one. */
async function keepForOffline(site) {
  const latest = await fetch("files.json?latest", { cache: "no-store" }).catch(() => null);
  if (!latest?.ok) {
    element("offline").textContent = "There is no network now, and none is needed.";
    return;
  }
  const version = await sha256(await latest.arrayBuffer());
  const registration = await navigator.serviceWorker.register(`service_worker.js?version=${version}`);
  await kept(registration);
  if (version !== site.version) {
    element("newer").hidden = false;
    return;
  }
  const used = performance.getEntriesByType("resource").map((entry) => entry.name);
  const cache = await caches.open(cachePrefix() + version);
  await cache.addAll(used.filter((name) => name.includes("/runtime/litert_wasm_")));
  element("offline").textContent = "Kept on this device: the page now works without a network.";
  document.documentElement.dataset.offline = "yes";
}

/** Wait until the newest worker has kept its files; an Error if it could not. */
function kept({ installing, waiting, active }) {
  const worker = installing ?? waiting ?? active;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new Error("the page was not kept"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

// Photos -----------------------------------------------------------------------------------------

/** Answer files one after the other, newest batch on top; those that come too early wait. */
function ask(files) {
  if (!files.length) return;
  queue = queue.then(() => (document.documentElement.dataset.ready === "yes" ? answerAll(files) : null));
}

async function answerAll(files) {
  const anchor = element("cards").firstElementChild;
  element("answers").hidden = false;
  let answered = 0, unsure = 0, failed = 0;
  for (const file of files) {
    const { card, result } = await answerFile(file);
    element("cards").insertBefore(card, anchor);
    answered += 1;
    unsure += result && !result.sure ? 1 : 0;
    failed += result ? 0 : 1;
    const said = result ? `${result.sure ? "" : "not sure: "}${result.best[0].label}` : "not answered";
    element("progress").textContent =
      files.length === 1
        ? `${file.name}: ${said}`
        : `${answered} of ${files.length} photos read, ${unsure} not sure, ${failed} not answered`;
    offerAnswers();
  }
}

/** Let the table of all answers so far be saved. */
function offerAnswers() {
  const hasSets = classifier.description.set_threshold !== undefined;
  const columns = ["image", "rank", "label", "probability", "sure", "blurred"];
  const table = [[...columns, ...(hasSets ? ["in_set"] : [])], ...rows];
  const csv = table.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  const link = element("save-answers");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
  link.hidden = !rows.length;
}

/** Return a value for CSV; a name that a spreadsheet would take for a formula gets an apostrophe. */
function quoted(value) {
  const text = String(value).replace(/^(?=[=+@-])/, "'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function answerFile(file) {
  const card = make("li", "card");
  const thumbnail = card.appendChild(make("canvas"));
  thumbnail.width = thumbnail.height = 192;
  thumbnail.setAttribute("role", "img");
  thumbnail.setAttribute("aria-label", `The photo ${file.name}`);
  let photo;
  try {
    photo = await openPhoto(file);
    drawThumbnail(thumbnail, photo.bitmap);
    const result = await answerPhoto(classifier, photo);
    fill(card, file.name, result);
    return { card, result };
  } catch (error) {
    card.append(
      make("h3", "", "Not answered"),
      make("span", "tag failed", "not read"),
      make("p", "file", file.name),
      make("p", "", error.message),
    );
    return { card };
  } finally {
    photo?.bitmap.close();
  }
}

function fill(card, name, result) {
  const { best, sure, set, blurred, milliseconds } = result;
  card.append(
    make("h3", "", best[0].label),
    make("span", sure ? "tag" : "tag unsure", sure ? "sure" : "not sure"),
    make("p", "file", name),
  );
  const bars = card.appendChild(make("ul", "bars"));
  for (const { label, probability } of best.slice(0, 3)) {
    const line = bars.appendChild(make("li"));
    line.append(make("span", "", label), make("span", "number", probability.toFixed(3)));
    const track = line.appendChild(make("span", "track"));
    track.appendChild(make("span", "bar")).style.width = `${probability * 100}%`;
  }
  if (set.length > 1) {
    card.append(make("p", "", `May be ${set.map((entry) => entry.label).join(" or ")}.`));
  }
  if (blurred) card.append(make("p", "blurred", "The photo is blurred; the answer may be wrong."));
  card.append(make("p", "quiet number", `Answered in ${milliseconds.toFixed(1)} ms`));
  best.forEach(({ label, probability }, index) => {
    const inSet = set.some((entry) => entry.label === label);
    if (index >= 3 && !inSet) return;
    const row = [name, index + 1, label, probability.toFixed(6), sure, blurred];
    rows.push(classifier.description.set_threshold === undefined ? row : [...row, inSet]);
  });
}

function drawThumbnail(canvas, bitmap) {
  const side = Math.min(bitmap.width, bitmap.height);
  const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, left, top, side, side, 0, 0, canvas.width, canvas.height);
}

// Camera -----------------------------------------------------------------------------------------

async function openCamera() {
  element("message").textContent = "";
  element("open-camera").disabled = true;
  try {
    const video = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } };
    element("viewfinder").srcObject = await navigator.mediaDevices.getUserMedia({ video });
    await element("viewfinder").play();
    element("camera").hidden = false;
    element("zone").hidden = true;
    element("shoot").focus();
  } catch {
    stopCamera();
    element("message").textContent =
      "The camera cannot be used: there is none, or this page may not use it. Choose a photo instead.";
  } finally {
    element("open-camera").disabled = false;
  }
}

function stopCamera() {
  element("viewfinder").srcObject?.getTracks().forEach((track) => track.stop());
  element("viewfinder").srcObject = null;
}

function closeCamera() {
  stopCamera();
  element("camera").hidden = true;
  element("zone").hidden = false;
  element("open-camera").focus();
}

async function shoot() {
  const video = element("viewfinder");
  if (!video.videoWidth) return; // it shows nothing yet
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  closeCamera();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  ask([new File([blob], `camera ${new Date().toLocaleTimeString("en-GB")}`)]);
}

// What the visitor does --------------------------------------------------------------------------

element("files").addEventListener("change", (event) => {
  ask(Array.from(event.target.files));
  event.target.value = ""; // so that the same photo can be chosen again
});
document.addEventListener("paste", (event) => ask(Array.from(event.clipboardData.files)));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  ask(Array.from(event.dataTransfer.files));
});
element("open-camera").addEventListener("click", openCamera);
element("close-camera").addEventListener("click", closeCamera);
element("shoot").addEventListener("click", shoot);
element("copy-report").addEventListener("click", async () => {
  element("report").select();
  try {
    await navigator.clipboard.writeText(element("report").value);
    element("copy-report").textContent = "Copied";
  } catch {
    element("copy-report").textContent = "Selected: copy it by hand";
  }
});
element("reload").addEventListener("click", () => location.reload());

let queue = start().catch(refuse);
