import type { OnData } from "./source.ts";

/** What somebody gives to a callback, as a stream: the giver waits for whoever takes, and is told when nobody does any more. */
export async function* pulled(give: (onData: OnData) => Promise<void>): AsyncGenerator<Buffer> {
  let offered: { chunk: Buffer; answer: (isWanted: boolean) => void } | undefined;
  let isOver = false;
  let isLeft = false;
  let wake = () => {};
  const giving = give(async (chunk) => {
    if (isLeft) return false;
    return await new Promise<boolean>((answer) => {
      offered = { chunk, answer };
      wake();
    });
  }).finally(() => {
    isOver = true;
    wake();
  });
  // It is waited for below, also where it fails while a piece is being taken.
  giving.catch(() => {});
  try {
    while (true) {
      if (offered === undefined && !isOver) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      if (offered === undefined) break;
      const { chunk, answer } = offered;
      yield chunk;
      // Whoever leaves with the piece never comes here, and its giver has its answer below.
      offered = undefined;
      answer(true);
    }
    await giving;
  } finally {
    isLeft = true;
    offered?.answer(false);
  }
}
