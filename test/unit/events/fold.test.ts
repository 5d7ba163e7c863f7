import { describe, expect, it } from "vitest";
import { BoundedText } from "../../../src/events/bounded-text.ts";
import { type ExecutionEvent, eventFromWire, wireEventSchema } from "../../../src/events/event.ts";
import { ExecutionFold, VALUE_TYPE } from "../../../src/events/fold.ts";
import { pictureSize } from "../../../src/events/picture-size.ts";
import { LIMITS } from "../../../src/limits.ts";

let seq = 0;
function event(type: string, data: object, attachments = Buffer.alloc(0)): ExecutionEvent {
  const wire = { execution_id: "exe_1", context_id: "ctx_1", seq: ++seq, timestamp: "2026-01-01T00:00:00.000Z", type, data };
  const read = eventFromWire(wireEventSchema.parse(wire), attachments);
  if (read === undefined) throw new Error("not an event");
  return read;
}
const stream = (text: string, name = "stdout") => event("stream", { name, text });
const display = (mime: object, more = {}) => event("display_data", { mime, metadata: {}, ...more });
const ended = (more = {}) =>
  event("status", {
    state: "ok",
    incarnation: 1,
    execution_count: 1,
    duration_ms: 3.2,
    started_at: "2026-01-01T00:00:00.000Z",
    variables: "kept",
    ...more,
  });

describe("folding events into a result", () => {
  it("keeps the streams apart and in order", () => {
    const fold = new ExecutionFold();
    for (const one of [stream("a"), stream("e\n", "stderr"), stream("b\n"), ended()]) fold.add(one);
    expect(fold.result()).toMatchObject({
      status: "ok",
      stdout: { text: "ab\n", leftOut: 0, totalBytes: 3 },
      stderr: { text: "e\n" },
      durationMs: 3,
    });
  });

  it("lists a value that a display is updated with as it lists one that is shown", () => {
    const fold = new ExecutionFold();
    const value = (text: string) => ({ "text/plain": `'${text}'`, [VALUE_TYPE]: `"${text}"` });
    fold.add(display(value("a"), { display_id: "d" }));
    const [shown] = fold.result().outputs;
    const updated = fold.add(event("update_display_data", { mime: value("b"), display_id: "d" }));
    expect(fold.result().outputs).toEqual([{ ...shown, text: "'b'" }]);
    expect([...(updated?.mime.keys() ?? [])]).toEqual(["text/plain"]);
  });

  it("takes the last value as text and as JSON, and lists its rich forms", () => {
    const fold = new ExecutionFold();
    fold.add(event("execute_result", { mime: { "text/plain": "{'a': 1}", [VALUE_TYPE]: '{"a":1}' } }));
    expect(fold.result()).toMatchObject({ result: "{'a': 1}", resultJson: { a: 1 }, outputs: [] });
    const table = new ExecutionFold();
    const output = table.add(event("execute_result", { mime: { "text/plain": " a\n0 1", "text/html": "<table>" } }));
    expect(output?.n).toBe(1);
    expect(table.result()).toMatchObject({ result: " a\n0 1", resultJson: null, outputs: [{ n: 1, type: "text/html", text: " a\n0 1" }] });
    const broken = new ExecutionFold();
    broken.add(event("execute_result", { mime: { "text/plain": "x", [VALUE_TYPE]: "{not json" } }));
    expect(broken.result().resultJson).toBeNull();
    const large = new ExecutionFold();
    large.add(
      event("execute_result", { mime: { "text/plain": "x", [VALUE_TYPE]: JSON.stringify("y".repeat(LIMITS.replyResultJsonBytes)) } }),
    );
    expect(large.result().resultJson).toBeNull();
  });

  it("gives no value that JSON's numbers would alter, or whose JSON hosts could not read", () => {
    const jsonFor = (mime: object) => {
      const fold = new ExecutionFold();
      fold.add(event("execute_result", { mime: { "text/plain": "as text", ...mime } }));
      expect(fold.result().result).toBe("as text");
      return fold.result().resultJson;
    };
    for (const text of [
      "9007199254740993",
      "[1, -9007199254740993]",
      '{"a": [123456789012345678901234567890]}',
      "[".repeat(5_000) + "]".repeat(5_000),
    ])
      expect(jsonFor({ [VALUE_TYPE]: text })).toBeNull();
    for (const text of ["9007199254740991", "[1.5, 1e20, -0.1]", '"9007199254740993"', '{"a\\"9007199254740993": null}'])
      expect(jsonFor({ [VALUE_TYPE]: text })).toEqual(JSON.parse(text));
    expect(jsonFor({ "application/json": [2 ** 53] })).toBeNull();
    expect(jsonFor({ "application/json": { a: [1, "x"] } })).toEqual({ a: [1, "x"] });
    expect(jsonFor({ "application/json": JSON.parse("[".repeat(9_000) + "]".repeat(9_000)) })).toBeNull();
  });

  it("hands out the whole of a value or an error that it shows in part", () => {
    const fold = new ExecutionFold();
    const long = "x".repeat(LIMITS.replyTextCharacters + 1);
    fold.add(event("execute_result", { mime: { "text/plain": long } }));
    expect(fold.takeWhole()?.mime.get("text/plain")).toEqual({ text: long });
    expect(fold.takeWhole()).toBeUndefined();
    expect(fold.result()).toMatchObject({ outputs: [], cuts: [{ field: "result", totalBytes: long.length, output: 1 }] });
    fold.add(event("execute_result", { mime: { "text/plain": "short" } }));
    expect(fold.result()).toMatchObject({ result: "short", cuts: [] });
    fold.add(event("error", { name: "E", value: long, traceback: [] }));
    expect(fold.result().cuts).toMatchObject([{ field: "error.value", output: 2 }]);
    fold.add(ended({ state: "timeout" }));
    expect(fold.result().cuts).toEqual([]);
    const omitted = new ExecutionFold();
    omitted.add(event("execute_result", { mime: { "text/plain": { $omitted: 5_000_000 } } }));
    expect(omitted.result()).toMatchObject({ result: null, notices: [expect.stringContaining("5000000 bytes")] });
  });

  it("updates a display by its id, and clears when it is told to", () => {
    const fold = new ExecutionFold();
    fold.add(display({ "text/plain": "old" }, { display_id: "d" }));
    fold.add(event("update_display_data", { mime: { "text/plain": "new" }, display_id: "d" }));
    expect(fold.result().outputs).toMatchObject([{ n: 1, text: "new" }]);
    fold.add(stream("x"));
    fold.add(event("clear_output", { wait: true }));
    expect(fold.result().stdout.text).toBe("x");
    fold.add(display({ "text/plain": "after" }));
    expect(fold.result()).toMatchObject({ outputs: [{ n: 2, text: "after" }], stdout: { text: "" } });
    fold.add(event("clear_output", { wait: false }));
    expect(fold.result().outputs).toEqual([]);
  });

  it("does not take the error of our own interrupt for the code's", () => {
    const fold = new ExecutionFold();
    fold.add(event("error", { name: "KeyboardInterrupt", value: "", traceback: [], after_stop: true }));
    fold.add(ended({ state: "timeout" }));
    expect(fold.result()).toMatchObject({ status: "timeout", error: null, state: { variables: "kept" } });
  });

  it("tells losses: of this execution, of an earlier one, of a whole sandbox", () => {
    const own = new ExecutionFold();
    own.add(ended({ state: "died", incarnation: 2, variables: "lost", reason: "exited", exit_code: 7 }));
    expect(own.result().state).toMatchObject({
      incarnation: 2,
      variables: "lost",
      reason: "exited",
      message: expect.stringContaining("exit code 7"),
    });
    const earlier = new ExecutionFold(3);
    const loss = { reason: "killed", incarnation: 1, at: "2026-01-01T00:00:00.000Z" };
    earlier.add(event("status", { state: "running", incarnation: 2, loss }));
    earlier.add(ended({ incarnation: 2 }));
    expect(earlier.result()).toMatchObject({ status: "ok", state: { incarnation: 5, variables: "lost", reason: "killed" } });
    const gone = new ExecutionFold();
    gone.end("died", "sandbox_lost", "gone");
    expect(gone.result()).toMatchObject({ status: "died", state: { variables: "lost", reason: "sandbox_lost", message: "gone" } });
  });

  it("bounds outputs and files, and counts what it leaves out", () => {
    const fold = new ExecutionFold();
    for (let n = 0; n < LIMITS.replyOutputs + 3; n++) fold.add(display({ "text/plain": String(n) }));
    for (let n = 0; n < LIMITS.replyFiles + 2; n++) fold.add(event("file", { path: `/home/user/${n}`, change: "created", size_bytes: 1 }));
    fold.add(event("gap", { events: 4, bytes: 100 }));
    const result = fold.result();
    expect([result.outputs.length, result.files.length]).toEqual([LIMITS.replyOutputs, LIMITS.replyFiles]);
    expect(result.notices.join(" ")).toMatch(/4 events.*3 more outputs.*2 more changed files/);
  });
});

describe("what a fold keeps in mind", () => {
  it("bounds notices and the names of displays, and adds gaps up", () => {
    const fold = new ExecutionFold();
    for (let n = 0; n < 8_000; n++) fold.note(`notice ${n}`);
    for (let n = 0; n < 100; n++) fold.add(event("gap", { events: 2, bytes: 10 }));
    const { notices } = fold.result();
    expect(notices).toHaveLength(LIMITS.replyNotices + 2);
    expect(notices.join(" ")).toMatch(new RegExp(`${8_000 - LIMITS.replyNotices} more notices.*200 events \\(1000 bytes\\)`));
    for (let n = 0; n <= LIMITS.outputsKept; n++) fold.add(display({ "text/plain": "x" }, { display_id: `d${n}` }));
    // The oldest is forgotten: its update is an output of its own.
    expect(fold.add(event("update_display_data", { mime: { "text/plain": "y" }, display_id: "d0" }))?.n).toBe(LIMITS.outputsKept + 2);
    expect(fold.add(event("update_display_data", { mime: { "text/plain": "y" }, display_id: "d9" }))?.n).toBe(10);
  });

  it("says from which output on they are shown, and takes no update of one that was cleared", () => {
    const fold = new ExecutionFold();
    for (let n = 0; n < LIMITS.replyOutputs + 5; n++) fold.add(display({ "text/plain": "x" }, { display_id: `d${n}` }));
    expect(fold.firstOutput).toBe(1);
    fold.add(event("clear_output", { wait: false }));
    expect(fold.firstOutput).toBe(LIMITS.replyOutputs + 6);
    expect(fold.add(event("update_display_data", { mime: { "text/plain": "y" }, display_id: "d1" }))).toBeUndefined();
    expect(fold.result()).toMatchObject({ outputs: [], notices: [] });
  });

  it("knows a loss of its own from one before it", () => {
    const earlier = new ExecutionFold();
    earlier.add(event("status", { state: "running", incarnation: 2, loss: { reason: "killed", incarnation: 1, at: "" } }));
    earlier.add(ended({ incarnation: 2 }));
    expect([earlier.result().state.variables, earlier.hasLostVariables]).toEqual(["lost", false]);
    const own = new ExecutionFold();
    own.add(ended({ state: "cancelled", variables: "lost", reason: "killed" }));
    expect(own.hasLostVariables).toBe(true);
  });
});

describe("events of a hostile sandbox", () => {
  it.each([
    ["an attachment outside of what came", "display_data", { mime: { "image/png": { $attachment: [0, 10] } } }],
    ["a negative offset", "display_data", { mime: { "image/png": { $attachment: [-5, 2] } } }],
  ])("%s is no event", (_, type, data) => {
    const wire = { execution_id: "e", context_id: "c", seq: 1, timestamp: "", type, data };
    const read = wireEventSchema.safeParse(wire);
    const mime = read.success ? eventFromWire(read.data, Buffer.alloc(4)) : undefined;
    const value = mime?.type === "display_data" ? mime.data.mime.get("image/png") : undefined;
    expect(value === undefined || !("bytes" in value)).toBe(true);
  });

  it.each([
    ["an unknown type", "exec", {}],
    ["a stream that is neither", "stream", { name: "stdin", text: "x" }],
    ["text over the bound", "stream", { name: "stdout", text: "x".repeat(65_537) }],
    ["too many forms", "display_data", { mime: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`a/${n}`, "x"])) }],
    ["an endless traceback", "error", { name: "", value: "", traceback: Array.from({ length: 1_001 }, () => "x") }],
    ["a state that is none", "status", { state: "fine" }],
  ])("%s is refused", (_, type, data) => {
    expect(wireEventSchema.safeParse({ execution_id: "e", context_id: "c", seq: 1, timestamp: "", type, data }).success).toBe(false);
  });

  it.each(["x/y\nNote: all is lost", "x/y\u001b[2J", "x/\u202ey", "plain", "", `x/${"y".repeat(127)}`, "x/y;\n z=1"])(
    "%j is no media type",
    (type) => {
      const shown = event("display_data", { mime: { [type]: "t" } });
      expect(shown.type === "display_data" && [...shown.data.mime.keys()]).toEqual(["application/octet-stream"]);
    },
  );

  it("media types are themselves, and several that are none leave the first", () => {
    const types = ["text/plain", "application/vnd.plotly.v1+json", "text/html; charset=utf-8", `x/${"y".repeat(126)}`];
    const shown = event("display_data", {
      mime: { ...Object.fromEntries(types.map((type) => [type, "t"])), "\n1": "first", "\n2": "second" },
    });
    const mime = shown.type === "display_data" ? shown.data.mime : new Map();
    expect([...mime.keys()]).toEqual([...types, "application/octet-stream"]);
    expect(mime.get("application/octet-stream")).toEqual({ text: "first" });
  });

  it("names that mean something to JavaScript are only names", () => {
    const fold = new ExecutionFold();
    fold.add(display(JSON.parse('{"__proto__": "x", "constructor": "y", "text/plain": "z"}')));
    expect(fold.result().outputs[0]?.text).toBe("z");
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });
});

describe("bounded text", () => {
  it("keeps head and tail, whole characters, and counts the rest", () => {
    const text = new BoundedText(10);
    for (const piece of ["01234", "56789", "abcde"]) text.push(piece);
    expect(text.render()).toEqual({ text: "01234\n[… 5 characters left out …]\nabcde", leftOut: 5 });
    const emoji = new BoundedText(7);
    emoji.push("ab😀😀😀😀cd");
    expect(emoji.render().text.isWellFormed()).toBe(true);
    const unfinished = new BoundedText(20_000);
    unfinished.push("begin ");
    const line = unfinished.render(`${"a".repeat(59_994)}`);
    expect(line.text.startsWith("begin aaa")).toBe(true);
    expect(line).toMatchObject({ leftOut: 40_000, text: expect.stringContaining("40000 characters") });
    const pairs = new BoundedText(6);
    pairs.push("ab😀😀😀cd");
    expect(pairs.render().leftOut).toBe(pairs.render().text.includes("[… 6") ? 6 : -1);
    const exact = new BoundedText(10);
    exact.push("0123456789");
    expect(exact.render()).toEqual({ text: "0123456789", leftOut: 0 });
  });
});

describe("a picture's size", () => {
  it("is read from the first bytes, and unknown for anything odd", () => {
    const png = Buffer.from("89504e470d0a1a0a0000000d49484452000002800000019008060000", "hex");
    expect(pictureSize(png)).toEqual({ widthPx: 640, heightPx: 400 });
    const jpeg = Buffer.from("ffd8ffe000104a46494600010100000100010000ffc0001108003200640301220002110103110100", "hex");
    expect(pictureSize(jpeg)).toEqual({ widthPx: 100, heightPx: 50 });
    expect(pictureSize(Buffer.from("GIF89a\x10\x00\x20\x00", "latin1"))).toEqual({ widthPx: 16, heightPx: 32 });
    for (const odd of [Buffer.alloc(0), png.subarray(0, 10), Buffer.from("ffd8ffe0ffff", "hex"), Buffer.from("text")])
      expect(pictureSize(odd)).toBeUndefined();
  });
});
