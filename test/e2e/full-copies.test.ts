import { afterAll, beforeAll, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

it("lives through values that are nested deeper than JSON can be written", async () => {
  const deep = "from IPython.display import display\nv = []\nfor _ in range(6000):\n    v = [v]\n";
  const shown = await client.run(`${deep}display({"application/json": v, "text/plain": "deep"}, raw=True)`);
  expect(shown.isError).toBe(false);
  const asText =
    "class Deep:\n    def _repr_mimebundle_(self, **_):\n        return {'application/json': '[' * 30000 + ']' * 30000, 'text/plain': 'deep'}\nDeep()";
  expect((await client.run(asText)).structured).toMatchObject({ status: "ok", result: "deep", result_json: null });
  expect((await client.run("1 + 1")).structured.result).toBe("2");
});

it("does not stall or lose large figures that are JSON", async () => {
  const figures =
    "from IPython.display import display\nfor n in range(4):\n    display({'application/vnd.plotly.v1+json': {'data': 'y' * 3_500_000}, 'text/plain': str(n)}, raw=True)";
  const { structured } = await client.run(figures);
  expect(structured).toMatchObject({ status: "ok", notices: [] });
  expect(structured.outputs).toHaveLength(4);
  expect(structured.duration_ms).toBeLessThan(8_000);
});

it("keeps the newest of a picture that is replaced again and again, and of one that is cleared", async () => {
  const code = (how: string) =>
    `from IPython.display import display, clear_output\nimport os\nfor n in range(300):\n    picture = b'\\x89PNG\\r\\n\\x1a\\n' + n.to_bytes(4, 'big') + bytes(1_000_000)\n    ${how}`;
  const updated = await client.run(
    code("display({'image/png': __import__('base64').b64encode(picture).decode()}, raw=True, display_id='p', update=n > 0)"),
  );
  expect(updated.structured.notices.join()).not.toContain("not kept");
  const cleared = await client.run(
    code("clear_output(wait=True); display({'image/png': __import__('base64').b64encode(picture).decode()}, raw=True)"),
  );
  for (const reply of [updated, cleared]) {
    expect(reply.structured.outputs).toHaveLength(1);
    const read = await client.call("read_file", {
      path: reply.structured.outputs[0].uri,
      encoding: "base64",
      offset_bytes: 8,
      limit_bytes: 4,
    });
    expect(Buffer.from(read.structured.content, "base64").readUInt32BE()).toBe(299);
  }
});

it("gives a reply again as a resource, with the fields of the contract", async () => {
  const { structured } = await client.run("print('x' * 50_000)\n{'a': 1}");
  const again = await client.readResource(`kernelbox://executions/${structured.execution_id}`);
  expect(JSON.parse(again.text ?? "")).toEqual({ ...structured, code: "print('x' * 50_000)\n{'a': 1}" });
  expect(structured.result_json).toEqual({ a: 1 });
});
