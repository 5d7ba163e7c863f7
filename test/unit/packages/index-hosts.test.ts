import { describe, expect, it } from "vitest";
import { checkReach, packageSource } from "../../../src/packages/index-hosts.ts";

const PRIVATE = "https://me:secret@index.example/simple";

describe("where packages come from", () => {
  it("is public where nothing else is set", () => {
    expect(packageSource("pip", {})).toEqual({ indexes: {}, hosts: ["pypi.org", "files.pythonhosted.org"] });
    expect(packageSource("npm", {})).toEqual({ indexes: {}, hosts: ["registry.npmjs.org"] });
  });

  it("is what the host's settings say, and only what its manager reads", () => {
    const settings = { PIP_INDEX_URL: PRIVATE, HTTPS_PROXY: "http://p:s@proxy.example", NPM_CONFIG_REGISTRY: "https://npm.example/" };
    expect(packageSource("pip", settings)).toEqual({ indexes: { PIP_INDEX_URL: PRIVATE }, hosts: ["index.example"] });
    expect(packageSource("npm", settings)).toEqual({ indexes: { NPM_CONFIG_REGISTRY: "https://npm.example/" }, hosts: ["npm.example"] });
    expect(packageSource("pip", { UV_DEFAULT_INDEX: PRIVATE, PIP_INDEX_URL: "https://other.example/" }).hosts).toEqual(["index.example"]);
    expect(packageSource("pip", { PIP_EXTRA_INDEX_URL: `${PRIVATE}  https://b.example/` }).hosts).toEqual([
      "pypi.org",
      "index.example",
      "b.example",
      "files.pythonhosted.org",
    ]);
  });
});

describe("what may not be reached", () => {
  const source = packageSource("pip", { PIP_EXTRA_INDEX_URL: PRIVATE });

  it("without a network says the flags, and no password", () => {
    const refused = expect.objectContaining({
      code: "unsupported",
      hint: expect.stringContaining(
        "--network allowlist --allow-host pypi.org --allow-host index.example --allow-host files.pythonhosted.org",
      ),
    });
    expect(() => checkReach({ mode: "none", hosts: [] }, source)).toThrow(refused);
    try {
      checkReach({ mode: "none", hosts: [] }, source);
    } catch (error) {
      expect(JSON.stringify({ ...(error as object), message: (error as Error).message })).not.toContain("secret");
    }
  });

  it("with an allowlist says what it lacks", () => {
    const some = { mode: "allowlist" as const, hosts: ["pypi.org", "*.pythonhosted.org"] };
    expect(() => checkReach(some, source)).toThrow(expect.objectContaining({ details: { missing_hosts: ["index.example"] } }));
    expect(() => checkReach({ ...some, hosts: [...some.hosts, "index.example"] }, source)).not.toThrow();
    expect(() => checkReach({ mode: "open", hosts: [] }, source)).not.toThrow();
  });
});
