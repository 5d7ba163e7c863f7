import { expect, test } from "vitest";
import { SharedWork } from "../../../../src/engines/docker/shared-work.ts";

function workAtHand() {
  const hand = { tell: (_: number) => {}, finish: (_: string) => {}, signal: new AbortController().signal };
  const work = new SharedWork<string, number>(
    (tell, signal) =>
      new Promise((resolve, reject) => {
        hand.tell = tell;
        hand.finish = resolve;
        hand.signal = signal;
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
  );
  return { work, hand };
}

test("all who join hear of the progress and get the result", async () => {
  const { work, hand } = workAtHand();
  const heard: number[][] = [[], []];
  const one = work.join((progress) => heard[0]?.push(progress));
  hand.tell(1);
  const other = work.join((progress) => heard[1]?.push(progress));
  hand.tell(2);
  hand.finish("done");
  expect(await Promise.all([one, other])).toEqual(["done", "done"]);
  expect(heard).toEqual([
    [1, 2],
    [1, 2],
  ]);
});

test("one who leaves does not end the work of the others, and the last one does", async () => {
  const { work, hand } = workAtHand();
  const [first, last] = [new AbortController(), new AbortController()];
  const one = work.join(() => {}, first.signal);
  const other = work.join(() => {}, last.signal);
  first.abort();
  await expect(one).rejects.toMatchObject({ code: "cancelled" });
  expect(hand.signal.aborted).toBe(false);
  expect(work.isGivenUp).toBe(false);
  last.abort();
  await expect(other).rejects.toMatchObject({ code: "cancelled" });
  expect(hand.signal.aborted).toBe(true);
  expect(work.isGivenUp).toBe(true);
  await work.settled;
});
