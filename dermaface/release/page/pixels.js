// The pixel rule, as dermaface/photos/pixels.py has it: photos to what the network is fed.

// The measure of blur depends on the size, so it is always taken at this one.
export const BLUR_SIZE = 224;
// Pillow refuses more as a possible decompression bomb.
const MOST_PIXELS = 178956970;
// A canvas of a whole photo may be larger than a browser allows, so it is read in tiles.
const TILE_WIDTH = 4096;
const TILE_HEIGHT = 512;

const letters = (bytes, start, end) => String.fromCharCode(...bytes.subarray(start, end));

/** Return "jpeg", "heic" or "other", by a file's first bytes. */
export async function kindOf(blob) {
  const bytes = new Uint8Array(await blob.slice(0, 12).arrayBuffer());
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  const brands = ["heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"];
  const isHeic = letters(bytes, 4, 8) === "ftyp" && brands.includes(letters(bytes, 8, 12));
  return isHeic ? "heic" : "other";
}

/**
 * Decode a photo upright and as it is stored, without a colour profile, as Pillow reads it.
 *
 * Throws an Error that says what is wrong with the file and what to do.
 */
export async function openPhoto(blob) {
  const kind = await kindOf(blob);
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new Error(
      kind === "heic"
        ? "This is a HEIC photo, which this browser cannot read. Safari on an iPhone or a Mac " +
            "can. Or send it as JPEG: on the iPhone, choose Settings, Camera, Formats, Most " +
            "Compatible for new photos; for this one, share it with Options, Most Compatible."
        : "This browser cannot read the file as an image: it is damaged, not an image, or of a " +
            "kind that this browser does not know.",
    );
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    bitmap.close();
    throw new Error("This image has too many pixels for this page.");
  }
  return { bitmap, kind, orientation: kind === "jpeg" ? await orientationOf(blob) : 1 };
}

/** Return the EXIF orientation of a JPEG file, 1..8; 1 where it states none. */
async function orientationOf(blob) {
  const view = new DataView(await blob.slice(0, 1 << 18).arrayBuffer());
  try {
    for (let at = 2; view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
      const isExif = view.getUint16(at) === 0xffe1 && view.getUint32(at + 4) === 0x45786966;
      if (!isExif) continue;
      const start = at + 10; // of what is a TIFF file in itself
      const little = view.getUint16(start) === 0x4949;
      const table = start + view.getUint32(start + 4, little);
      for (let entry = 0; entry < view.getUint16(table, little); entry++) {
        const place = table + 2 + 12 * entry;
        const value = view.getUint16(place + 8, little);
        if (view.getUint16(place, little) === 0x0112) return value >= 1 && value <= 8 ? value : 1;
      }
      return 1;
    }
  } catch {
    // The notes end too early: nothing is stated.
  }
  return 1;
}

/** Return the largest of 8, 4, 2, 1 that leaves the shorter side `atLeast` pixels. */
export function reduction(width, height, atLeast) {
  const shorter = Math.min(width, height);
  return [8, 4, 2].find((divisor) => Math.floor(shorter / divisor) >= atLeast) ?? 1;
}

/**
 * Return a photo's pixels as {data: RGB bytes, width, height}; a large JPEG or HEIC at 1/2, 1/4, 1/8.
 *
 * Decoders of JPEG reach such a size by averaging blocks of pixels (libjpeg-turbo, jidctred.c), and
 * so does this, only later: after the colours were interpolated and rounded. The blocks begin where
 * the stored picture begins, which for a turned photo may be at its right or its bottom.
 */
export function readPixels({ bitmap, kind, orientation }, atLeast) {
  const divisor = kind === "other" ? 1 : reduction(bitmap.width, bitmap.height, atLeast);
  const columns = blocks(bitmap.width, divisor, [2, 3, 6, 7].includes(orientation));
  const rows = blocks(bitmap.height, divisor, [3, 4, 7, 8].includes(orientation));
  const [width, height] = [columns.length - 1, rows.length - 1];
  const data = new Uint8Array(width * height * 3);
  const canvas = document.createElement("canvas");
  canvas.width = Math.min(TILE_WIDTH, bitmap.width);
  canvas.height = Math.min(TILE_HEIGHT, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [across, down] = [Math.floor(TILE_WIDTH / divisor), Math.floor(TILE_HEIGHT / divisor)];
  for (let y = 0; y < height; y += down) {
    for (let x = 0; x < width; x += across) {
      const [left, top] = [columns[x], rows[y]];
      const [xEnd, yEnd] = [Math.min(x + across, width), Math.min(y + down, height)];
      const [tileWidth, tileHeight] = [columns[xEnd] - left, rows[yEnd] - top];
      context.fillStyle = "white"; // under transparent parts
      context.fillRect(0, 0, tileWidth, tileHeight);
      context.drawImage(bitmap, -left, -top);
      const tile = context.getImageData(0, 0, tileWidth, tileHeight).data;
      for (let row = y; row < yEnd; row++) {
        for (let column = x; column < xEnd; column++) {
          const [right, bottom] = [columns[column + 1] - left, rows[row + 1] - top];
          let red = 0, green = 0, blue = 0, count = 0;
          for (let v = rows[row] - top; v < bottom; v++) {
            for (let u = columns[column] - left; u < right; u++) {
              const i = (v * tileWidth + u) * 4;
              red += tile[i];
              green += tile[i + 1];
              blue += tile[i + 2];
              count += 1;
            }
          }
          const at = (row * width + column) * 3;
          data[at] = red / count + 0.5;
          data[at + 1] = green / count + 0.5;
          data[at + 2] = blue / count + 0.5;
        }
      }
    }
  }
  return { data, width, height };
}

/** Return where blocks of `divisor` pixels begin, and the end; a smaller one comes last or first. */
function blocks(size, divisor, fromTheEnd) {
  const edges = [0];
  let next = (fromTheEnd && size % divisor) || divisor;
  for (; next < size; next += divisor) edges.push(next);
  return [...edges, size];
}

/**
 * Stretch an image to a square of `size`: bilinear, half-pixel centres, no antialiasing.
 *
 * In single precision, step by step as NumPy does it, so that the same pixels come out.
 */
export function resize({ data, width, height }, size) {
  const round = Math.fround;
  const columns = neighbours(width, size);
  const rows = neighbours(height, size);
  const resized = new Uint8Array(size * size * 3);
  let at = 0;
  for (const { first: top, second: bottom, along: down } of rows) {
    for (const { first, second, along } of columns) {
      for (let colour = 0; colour < 3; colour++) {
        const pixel = (row, column) => data[(row * width + column) * 3 + colour];
        const left = pixel(top, first), leftBelow = pixel(bottom, first);
        const above = round(left + round((pixel(top, second) - left) * along));
        const below = round(leftBelow + round((pixel(bottom, second) - leftBelow) * along));
        resized[at++] = roundHalfToEven(round(above + round(round(below - above) * down)));
      }
    }
  }
  return resized;
}

/** Return the two old pixels between which each new one lies, and how far along it lies. */
function neighbours(oldSize, newSize) {
  const scale = Math.fround(oldSize / newSize);
  return Array.from({ length: newSize }, (_, index) => {
    const position = Math.fround(Math.fround((index + 0.5) * scale) - 0.5);
    const floor = Math.floor(position);
    return {
      first: Math.max(floor, 0),
      second: Math.min(floor + 1, oldSize - 1),
      along: Math.fround(position - floor),
    };
  });
}

function roundHalfToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

/** Return the variance of the Laplacian of a square image's grey levels: low where it is blurred. */
export function blurScore(pixels, size) {
  const grey = new Float32Array(size * size);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = 0.299 * pixels[3 * i] + 0.587 * pixels[3 * i + 1] + 0.114 * pixels[3 * i + 2];
  }
  let sum = 0, squares = 0;
  for (let y = 1; y < size - 1; y++) {
    for (let i = y * size + 1; i < (y + 1) * size - 1; i++) {
      const value = grey[i - size] + grey[i + size] + grey[i - 1] + grey[i + 1] - 4 * grey[i];
      sum += value;
      squares += value * value;
    }
  }
  const count = (size - 2) ** 2;
  return squares / count - (sum / count) ** 2;
}
