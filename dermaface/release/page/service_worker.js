// Keeps one whole version of the site, so that it works without a network.

const VERSION = new URL(self.location).searchParams.get("version");
const PREFIX = `dermaface ${self.registration.scope} `;
const CACHE = PREFIX + VERSION;
// Of the runtime's builds a browser uses one; the page keeps that one when it has loaded it.
const BUILD = /^runtime\/.*_internal\.(js|wasm)$/;

async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Fetch a file and keep it, unless it is not what this version has under that name. */
async function keepFile(cache, path, expected) {
  const response = await fetch(path, { cache: "reload" });
  const bytes = await response.arrayBuffer();
  if (!response.ok || (await sha256(bytes)) !== expected) throw new Error(`${path} does not fit`);
  // A new response, because one that was redirected may not answer a navigation.
  const kept = () => new Response(bytes, { headers: response.headers });
  await cache.put(path, kept());
  if (path === "index.html") await cache.put("./", kept());
}

async function keep() {
  const cache = await caches.open(CACHE);
  const response = await fetch("files.json", { cache: "reload" });
  const bytes = await response.arrayBuffer();
  if ((await sha256(bytes)) !== VERSION) throw new Error("there is a newer version already");
  const { files } = JSON.parse(new TextDecoder().decode(bytes));
  const builds = await buildsInUse();
  const paths = Object.keys(files).filter((path) => !BUILD.test(path) || builds.includes(path));
  await Promise.all(paths.map((path) => keepFile(cache, path, files[path])));
  await cache.put("files.json", new Response(bytes, { headers: response.headers }));
}

/** Return the builds of the runtime that older versions have kept. */
async function buildsInUse() {
  const found = [];
  for (const name of await caches.keys()) {
    if (!name.startsWith(PREFIX)) continue;
    for (const request of await (await caches.open(name)).keys()) {
      found.push(request.url.slice(self.registration.scope.length));
    }
  }
  return found.filter((path) => BUILD.test(path));
}

async function forget() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const ignoreSearch = request.mode === "navigate";
  return (await cache.match(request, { ignoreSearch, ignoreVary: true })) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(keep().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(forget()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && new URL(event.request.url).origin === self.location.origin) {
    event.respondWith(answer(event.request));
  }
});
