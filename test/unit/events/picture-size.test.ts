import { describe, expect, it } from "vitest";
import { pictureSize } from "../../../src/events/picture-size.ts";

/** Made by Pillow, 33 by 17 pixels each. */
const PICTURES = {
  PNG: "iVBORw0KGgoAAAANSUhEUgAAACEAAAARCAIAAADc/FKVAAAAH0lEQVR4nGP8z0BzwER7K0btGLVj1I5RO0btGIZ2AAAUTgEhRjdpBwAAAABJRU5ErkJggg==",
  GIF: "R0lGODdhIQARAIEAAP8AAAAAAAAAAAAAACwAAAAAIQARAEAIKAABCBxIsKDBgwgTKlzIsKHDhxAjSpxIsaLFixgzatzIsaPHjyBDBgQAOw==",
  "WebP, lossless": "UklGRhwAAABXRUJQVlA4TA8AAAAvIAAEAAcQ/Y/+ByKi/wEA",
  "WebP, lossy": "UklGRk4AAABXRUJQVlA4IEIAAACQAwCdASohABEAPm02l0ikIyIhJWgAgA2JZwDPkoB+AAAr98NwAP7wm0P/5BcsLrka//yA/5Af8gP/498Ql180AAA=",
  "WebP, extended":
    "UklGRmwAAABXRUJQVlA4WAoAAAAIAAAAIAAAEAAAVlA4IEIAAACQAwCdASohABEAPm02l0ikIyIhJWgAgA2JZwDPkoB+AAAr98NwAP7wm0P/5BcsLrka//yA/5Af8gP/498Ql180AABFWElGBAAAAHh4eHg=",
  // Up to its frame header.
  JPEG: "/9j/4AAQSkZJRgABAQAAAQABAAD/wAARCAARACEDASIAAhEBAxEB",
};

describe("the size of a picture", () => {
  it.each(Object.entries(PICTURES))("%s", (_, base64) => {
    expect(pictureSize(Buffer.from(base64, "base64"))).toEqual({ widthPx: 33, heightPx: 17 });
  });

  it.each(Object.entries(PICTURES))("%s, cut anywhere, is a size or none, and never an exception", (_, base64) => {
    const whole = Buffer.from(base64, "base64");
    for (let length = 0; length < whole.length; length++) expect(() => pictureSize(whole.subarray(0, length))).not.toThrow();
  });
});
