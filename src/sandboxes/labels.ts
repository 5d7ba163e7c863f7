/** What a container is told apart by. Only what is known when it is made stands here; the rest is in the store. */
export const LABELS = {
  owner: "kernelbox.owner",
  host: "kernelbox.host",
  image: "kernelbox.image",
  created: "kernelbox.created",
} as const;
