/** Which tools a server offers, by what they are for: every tool that is listed costs every conversation. */
export const PROFILES = ["core", "files", "processes", "sandboxes"] as const;
export type Profile = (typeof PROFILES)[number];
