import { describe, expect, it } from "vitest";
import { pulled } from "../../../src/files/pulled.ts";
import type { OnData } from "../../../src/files/source.ts";

/** Gives so many pieces, and keeps what it was told of each. */
function giver(pieces: number, ending: () => Promise<void> = async () => {}) {
  const answers: boolean[] = [];
  let given = 0;
  let ended: Promise<void> = Promise.resolve();
  const give = (onData: OnData) => {
    ended = (async () => {
      for (let at = 0; at < pieces; at++) {
        given++;
        const isWanted = await onData(Buffer.from([at]));
        answers.push(isWanted);
        if (!isWanted) return;
      }
      await ending();
    })();
    return ended;
  };
  return { give, answers, given: () => given, ended: () => ended };
}

const late = () => new Promise((resolve) => setTimeout(resolve, 20));

describe("what is given to a callback, as a stream", () => {
  it.each([0, 1, 1_000])("has all of %i pieces in order, and ends", async (pieces) => {
    const from = giver(pieces);
    const taken: number[] = [];
    for await (const [byte] of pulled(from.give)) taken.push(byte ?? -1);
    expect(taken).toEqual(Array.from({ length: pieces }, (_, at) => at % 256));
    expect(from.answers).toEqual(Array(pieces).fill(true));
  });

  it("is given no faster than it is taken", async () => {
    const from = giver(5);
    const stream = pulled(from.give);
    expect(from.given()).toBe(0);
    for (let at = 1; at <= 5; at++) {
      await stream.next();
      await late();
      expect(from.given()).toBe(at);
      expect(from.answers.length).toBe(at - 1);
    }
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  it.each([0, 3])("fails as the giver does, behind the %i pieces that came before", async (pieces) => {
    const from = giver(pieces, () => Promise.reject(new Error("torn")));
    const taken: Buffer[] = [];
    const taking = (async () => {
      for await (const chunk of pulled(from.give)) taken.push(chunk);
    })();
    await expect(taking).rejects.toThrow("torn");
    expect(taken.length).toBe(pieces);
  });

  it("tells the giver when nobody takes any more, whichever way one leaves", async () => {
    const leavings: ((stream: AsyncGenerator<Buffer>) => Promise<unknown>)[] = [
      async (stream) => {
        for await (const _ of stream) break;
      },
      async (stream) => {
        for await (const _ of stream) throw new Error("had enough");
      },
      async (stream) => {
        await stream.next();
        await stream.throw(new Error("had enough"));
      },
    ];
    for (const leave of leavings) {
      const from = giver(5);
      await leave(pulled(from.give)).catch((error) => expect(error.message).toBe("had enough"));
      await from.ended();
      expect(from.answers).toEqual([false]);
    }
  });

  it("does not begin where one leaves before the first piece", async () => {
    const from = giver(5);
    await pulled(from.give).return(undefined);
    expect(from.given()).toBe(0);
  });

  it("lets nothing of a giver that fails after one has left become an unhandled rejection", async () => {
    const seen: unknown[] = [];
    const note = (reason: unknown) => seen.push(reason);
    process.on("unhandledRejection", note);
    try {
      const give = async (onData: OnData) => {
        if (!(await onData(Buffer.from("x")))) throw new Error("too late for anybody");
      };
      for await (const _ of pulled(give)) break;
      await late();
    } finally {
      process.off("unhandledRejection", note);
    }
    expect(seen).toEqual([]);
  });

  it("says no to a giver that goes on after one has left", async () => {
    const answers: boolean[] = [];
    let over = () => {};
    const ended = new Promise<void>((resolve) => {
      over = resolve;
    });
    const give = async (onData: OnData) => {
      for (let at = 0; at < 3; at++) answers.push(await onData(Buffer.from("x")));
      over();
    };
    for await (const _ of pulled(give)) break;
    await ended;
    expect(answers).toEqual([false, false, false]);
  });
});
