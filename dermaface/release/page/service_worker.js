// Keeps one whole version of the site, so that it works without a network.

const VERSION = new URL(self.location).searchParams.get("version");
const CACHE = `dermaface ${self.registration.scope} ${VERSION}`;

async function keep() {
  const { files } = await (await fetch("files.json", { cache: "no-cache" })).json();
  // Of the runtime's two builds a browser uses one; the page keeps that one itself.
  const paths = Object.keys(files).filter((path) => !/^runtime\/.*_internal\.(js|wasm)$/.test(path));
  const cache = await caches.open(CACHE);
  const requests = ["./", "files.json", ...paths].map((path) => new Request(path, { cache: "no-cache" }));
  await cache.addAll(requests);
}

async function forget() {
  const names = await caches.keys();
  const old = names.filter(
    (name) => name.startsWith(`dermaface ${self.registration.scope} `) && name !== CACHE,
  );
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request, { ignoreVary: true })) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(keep().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(forget()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && new URL(event.request.url).origin === self.location.origin) {
    event.respondWith(answer(event.request));
  }
});
