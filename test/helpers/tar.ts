/** Tars as nobody's program makes them: every field is what the test says. */

const BLOCK = 512;

export interface RawHeader {
  name?: string | Buffer;
  prefix?: string;
  linkname?: string;
  /** A number, or what stands in the field. */
  size?: number | string | Buffer;
  type?: string;
  magic?: string;
  checksum?: string;
}

export const ZEROS = Buffer.alloc(2 * BLOCK);

export function header(fields: RawHeader): Buffer {
  const block = Buffer.alloc(BLOCK);
  Buffer.from(fields.name ?? "").copy(block, 0, 0, 100);
  block.write("0000644\0", 100);
  block.write("0000000\0", 108);
  block.write("0000000\0", 116);
  const { size = 0 } = fields;
  Buffer.from(typeof size === "number" ? `${size.toString(8).padStart(11, "0")}\0` : size).copy(block, 124, 0, 12);
  block.write("00000000000\0", 136);
  block.write("        ", 148);
  block.write(fields.type ?? "0", 156, "latin1");
  block.write(fields.linkname ?? "", 157, 100);
  block.write(fields.magic ?? "ustar\x0000", 257, "latin1");
  block.write(fields.prefix ?? "", 345, 155);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(fields.checksum ?? `${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** A body, filled up to whole blocks. */
export function padded(body: string | Buffer): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

export function entry(name: string | Buffer, body: string | Buffer = "", fields: RawHeader = {}): Buffer {
  return Buffer.concat([header({ name, size: Buffer.byteLength(body), ...fields }), padded(body)]);
}

export const record = (key: string, value: string | Buffer): Buffer => {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
};

export function pax(records: Record<string, string> | Buffer, type = "x"): Buffer {
  const body = Buffer.isBuffer(records) ? records : Buffer.concat(Object.entries(records).map(([key, value]) => record(key, value)));
  return entry("PaxHeader", body, { type });
}

export const gnuLong = (type: "L" | "K", name: string): Buffer => entry("././@LongLink", `${name}\0`, { type, magic: "ustar  \0" });

export const tar = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, ZEROS]);

/** A number in base 256, as GNU writes large ones; the first byte says of which sign it is. */
export function base256(value: bigint, first = 0x80): Buffer {
  const field = Buffer.alloc(12);
  field.writeBigUInt64BE(BigInt.asUintN(64, value), 4);
  field[0] = first;
  if (first === 0xff) field.fill(0xff, 1, 4);
  return field;
}

export function* chunks(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
