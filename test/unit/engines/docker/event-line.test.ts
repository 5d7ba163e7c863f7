import { expect, test } from "vitest";
import { nextMoment, parseEventLine } from "../../../../src/engines/docker/event-line.ts";

const line = (action: string, attributes: object = {}) =>
  `{"Type":"container","Action":"${action}","Actor":{"ID":"abc","Attributes":${JSON.stringify(attributes)}},"time":1700000000,"timeNano":1700000000123456789}`;

test("start, out of memory and end are told apart", () => {
  const head = { timeNano: "1700000000123456789", containerId: "abc" };
  expect(parseEventLine(line("start"))).toEqual({ ...head, type: "start" });
  expect(parseEventLine(line("oom"))).toEqual({ ...head, type: "out_of_memory" });
  expect(parseEventLine(line("die", { exitCode: "137" }))).toEqual({ ...head, type: "ended", exitCode: 137 });
  expect(parseEventLine(line("die", { exitCode: "odd" }))).toMatchObject({ exitCode: -1 });
});

test.for(["", "{", "null", "[]", "3", '{"Action":"die"}', '{"Action":"die","Actor":{"ID":4}}', line("exec_start")])(
  "%s is of no interest",
  (text) => {
    expect(parseEventLine(text)).toBeUndefined();
  },
);

test("the moment after an event is exact to the nanosecond", () => {
  expect(nextMoment("1700000000123456789")).toBe("1700000000.123456790");
  expect(nextMoment("1700000000999999999")).toBe("1700000001.000000000");
  expect(nextMoment("")).toBeUndefined();
});
