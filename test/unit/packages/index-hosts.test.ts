import { describe, expect, it, test } from "vitest";
import { checkReach, NPM, PYPI, PYPI_FILES, packageSource } from "../../../src/packages/index-hosts.ts";

const PRIVATE = "https://me:secret@index.example/simple";

describe("where packages come from", () => {
  it("is public where nothing else is set", () => {
    expect(packageSource("pip", {})).toEqual({ indexes: {}, hosts: [PYPI, PYPI_FILES], closed: [] });
    expect(packageSource("npm", {})).toEqual({ indexes: {}, hosts: [NPM], closed: [] });
  });

  it("is what the host's settings say, and only what its manager reads", () => {
    const settings = { PIP_INDEX_URL: PRIVATE, HTTPS_PROXY: "http://p:s@proxy.example", NPM_CONFIG_REGISTRY: "https://npm.example/" };
    expect(packageSource("pip", settings)).toEqual({ indexes: { PIP_INDEX_URL: PRIVATE }, hosts: ["index.example"], closed: [] });
    expect(packageSource("npm", settings)).toEqual({
      indexes: { NPM_CONFIG_REGISTRY: "https://npm.example/" },
      hosts: ["npm.example"],
      closed: [],
    });
    expect(packageSource("pip", { UV_DEFAULT_INDEX: PRIVATE, PIP_INDEX_URL: "https://other.example/" }).hosts).toEqual(["index.example"]);
    expect(packageSource("pip", { PIP_EXTRA_INDEX_URL: `${PRIVATE}  https://b.example/` }).hosts).toEqual([
      PYPI,
      "index.example",
      "b.example",
      PYPI_FILES,
    ]);
    expect(packageSource("pip", { UV_DEFAULT_INDEX: `company=${PRIVATE}` })).toEqual({
      indexes: { PIP_INDEX_URL: PRIVATE },
      hosts: ["index.example"],
      closed: [],
    });
  });
});

describe("what may not be reached", () => {
  const source = packageSource("pip", { PIP_EXTRA_INDEX_URL: PRIVATE });

  it("without a network says the flags, and no password", () => {
    const refused = expect.objectContaining({
      code: "unsupported",
      hint: expect.stringContaining(`--network allowlist --allow-host ${PYPI} --allow-host index.example --allow-host ${PYPI_FILES}`),
    });
    expect(() => checkReach({ mode: "none", hosts: [] }, source)).toThrow(refused);
    try {
      checkReach({ mode: "none", hosts: [] }, source);
    } catch (error) {
      expect(JSON.stringify({ ...(error as object), message: (error as Error).message })).not.toContain("secret");
    }
  });

  it("with an allowlist says what it lacks", () => {
    const some = { mode: "allowlist" as const, hosts: [PYPI, `*.${PYPI_FILES.split(".").slice(1).join(".")}`] };
    expect(() => checkReach(some, source)).toThrow(expect.objectContaining({ details: { missing_hosts: ["index.example"] } }));
    expect(() => checkReach({ ...some, hosts: [...some.hosts, "index.example"] }, source)).not.toThrow();
    expect(() => checkReach({ mode: "open", hosts: [] }, source)).not.toThrow();
  });

  const everything = { mode: "allowlist" as const, hosts: ["10.1.2.3", "mirror", "index.example", "me"] };
  test.for([
    ["http://10.1.2.3:8081/", "10.1.2.3 is an address", "open"],
    ["https://[::1]/", "[::1] is an address", "open"],
    ["http://mirror/simple", "mirror has no dot", "never"],
    ["https://index.example:8443/", "index.example is asked on port 8443", "open"],
    ["https://index.example:80/", "index.example is asked on port 80,", "open"],
    ["file:///srv/packages", "the index is no http or https address", "never"],
    ["secret:words", "the index is no http or https address", "never"],
    ["secret words", "the index is no http or https address", "never"],
  ] as const)("%s is refused with its reason, whatever hosts are allowed", ([index, reason, when]) => {
    const odd = packageSource("pip", { PIP_INDEX_URL: index });
    const refused = expect.objectContaining({ code: "unsupported", message: expect.stringContaining(reason) });
    expect(() => checkReach(everything, odd)).toThrow(refused);
    expect(() => checkReach({ mode: "none", hosts: [] }, odd)).toThrow(refused);
    expect(() => checkReach(everything, odd)).not.toThrow(/secret/);
    const open = () => checkReach({ mode: "open", hosts: [] }, odd);
    if (when === "open") expect(open).not.toThrow();
    else expect(open).toThrow(expect.objectContaining({ hint: expect.stringContaining("no flag") }));
  });

  it("without TLS is taken on both of the web's ports", () => {
    for (const index of ["http://index.example/", "http://index.example:80/", "http://index.example:443/", "https://index.example:443/"])
      expect(() => checkReach(everything, packageSource("pip", { PIP_INDEX_URL: index }))).not.toThrow();
  });
});
