import { describe, expect, test } from "vitest";
import { dockerClient } from "../helpers/docker.ts";
import { defaultContainer, python, shell } from "./default-container.ts";

/** What each flavour promises, whichever of them the tests run in. */
const CORE = ["ipykernel", "numpy", "pandas", "matplotlib.pyplot", "jinja2", "PIL", "openpyxl", "lxml.etree", "bs4", "nbformat"];
const FULL = [
  ...[
    "scipy.stats",
    "seaborn",
    "sklearn.linear_model",
    "statsmodels.api",
    "sympy",
    "pyarrow.parquet",
    "plotly.express",
    "duckdb",
    "polars",
  ],
  "pkg_resources",
];
/** Of squid with its libraries. */
const SQUID_MAX = 20e6;
const SIZE_MAX = { core: 500e6, full: 1_400e6, "full-r": 1_650e6 };
const PACKAGES = "/opt/py/lib/python3.13/site-packages";

/** Python that replies the paths beneath a folder, on its file system, for which a condition on `path` and `mode` holds. */
const find = (folder: string, condition: string) => `
import stat
found, device = [], os.lstat('${folder}').st_dev
for top, folders, files in os.walk('${folder}'):
    folders[:] = [f for f in folders if os.lstat(os.path.join(top, f)).st_dev == device]
    for name in folders + files:
        path = os.path.join(top, name)
        mode = os.lstat(path).st_mode
        if ${condition}: found.append(path)
reply(found)`;

describe("the sandbox image", { timeout: 60_000 }, () => {
  const box = defaultContainer();
  const flavour = () => box.image.Config.Labels["kernelbox.flavour"] as keyof typeof SIZE_MAX;

  test("is one of the flavours, and not larger than what it says of itself", () => {
    expect(Object.keys(SIZE_MAX)).toContain(flavour());
    expect(box.image.Size).toBeLessThan(SIZE_MAX[flavour()]);
    expect(box.image.Config.User).toBe("1000:1000");
  });

  test("has every package of its flavour, and none says a word when it is imported", async () => {
    const modules = flavour() === "core" ? CORE : [...CORE, ...FULL];
    const source = `import warnings; warnings.simplefilter("ignore")\nimport ${modules.join(", ")}\nprint("imported")`;
    expect(await box.agent.ask(python(source))).toEqual([0, "imported\n", ""]);
  });

  test("has the packages of full in all but core", async () => {
    const has = await box.agent.ask<boolean[]>(
      `reply([os.path.exists('${PACKAGES}/' + n) for n in ('sklearn', 'polars', 'pkg_resources')])`,
    );
    expect(has).toEqual(Array(3).fill(flavour() !== "core"));
    const [code, said] = await box.agent.ask<[number, string]>(shell("deno --version"));
    if (flavour() !== "core") expect([code, said]).toEqual([0, expect.stringMatching(/^deno \d+\./)]);
    else expect(code).toBe(127);
  });

  test.for([
    ["deno", shell("NO_COLOR=1 deno eval 'console.log(1 + 1, new Intl.NumberFormat(\"de\").format(1234.5))'"), "2 1.234,5\n"],
    ["polars", python('import polars as p; print(p.DataFrame({"a": [1, 2]}).lazy().select(p.col("a").sum()).collect().item())'), "3\n"],
    ["duckdb", python('import duckdb; print(duckdb.sql("select sum(i) from range(1000000) t(i)").fetchall()[0][0])'), "499999500000\n"],
    [
      "pyarrow",
      python(
        'import pyarrow as a, pyarrow.parquet as q; q.write_table(a.table({"a": [1]}), "x.parquet"); print(q.read_table("x.parquet").num_rows)',
      ),
      "1\n",
    ],
    [
      "sklearn",
      python(
        "from sklearn.ensemble import RandomForestClassifier as R; print(R(9, n_jobs=2, random_state=0).fit([[0], [1]] * 9, [0, 1] * 9).predict([[1]])[0])",
      ),
      "1\n",
    ],
  ] as const)("%s works under the container's bounds", async ([, source, output], { skip }) => {
    skip(flavour() === "core", "this image is core");
    expect(await box.agent.ask(source)).toEqual([0, output, ""]);
  });

  test("has a name for its user, ripgrep, and fonts for Latin and Chinese text", async () => {
    const passwd = await box.agent.ask<string>("reply(open('/etc/passwd').read())");
    expect(passwd.split("\n")).toContain("user:x:1000:1000:user:/home/user:/bin/bash");
    expect(await box.agent.ask(shell("rg --version | head -1"))).toEqual([0, expect.stringMatching(/^ripgrep \d+/), ""]);
    const fonts = "fc-list :lang=zh family; echo --; fc-list : family";
    const [code, said] = await box.agent.ask<[number, string]>(shell(fonts));
    const [chinese = "", all = ""] = said.split("--\n");
    expect([code, chinese]).toEqual([0, expect.stringMatching(/\S/)]);
    expect(all).toContain("DejaVu Sans");
  });

  test("has its byte-code, which is taken without a look at times, for every module of ours and of the big packages", async () => {
    const look = `
import glob
missing, checked = [], []
for name in ('kernelbox', 'kernelbox/egress', 'numpy', 'pandas/core', 'matplotlib', 'ipykernel'):
    for source in glob.glob(f'${PACKAGES}/{name}/*.py'):
        path = source.replace(name + '/', name + '/__pycache__/')[:-3] + '.cpython-313.pyc'
        if not os.path.exists(path): missing.append(path)
        # 1: by hash, and the hash is not checked.
        elif open(path, 'rb').read(8)[4] != 1: checked.append(path)
reply([missing, checked])`;
    expect(await box.agent.ask(look)).toEqual([[], []]);
    expect(
      await box.agent.ask("reply(os.path.getsize(next(f'/opt/mpl/{n}' for n in os.listdir('/opt/mpl') if n.startswith('fontlist'))))"),
    ).toBeGreaterThan(1_000);
  });

  test("has no tests, headers and static libraries of its packages", async () => {
    const big = [
      "pandas",
      "matplotlib",
      "scipy",
      "sklearn",
      "statsmodels",
      "pyarrow",
      "sympy",
      "lxml",
      "PIL",
      "zmq",
      "tornado",
      "IPython",
      "jedi",
    ];
    const isTest = `os.path.basename(path) in ('tests', 'test') and path.split('/')[6] in ${JSON.stringify(big)} and '/testing/' not in path`;
    expect(await box.agent.ask(find(PACKAGES, isTest))).toEqual([]);
    expect(await box.agent.ask(find(PACKAGES, "path.endswith(('.h', '.hpp', '.a', '.pyx', '.pxd', '.pyi'))"))).toEqual([]);
  });

  test("has squid for the egress proxy, with what it needs and whose it is, and nothing else of its package", async () => {
    const squid = "/opt/squid";
    const [code, said] = await box.agent.ask<[number, string]>(shell(`LD_LIBRARY_PATH=${squid}/lib ${squid}/squid -v | head -1`));
    expect([code, said]).toEqual([0, expect.stringMatching(/^Squid Cache: Version \d+\.\d+/)]);
    // Without its folder its libraries are nobody's.
    expect((await box.agent.ask<[number]>(shell(`${squid}/squid -v`)))[0]).toBe(127);
    const look = `
folder, size, world = '${squid}', 0, []
for top, _, files in os.walk(folder):
    for path in (os.path.join(top, name) for name in files):
        status = os.lstat(path)
        size += status.st_size
        if status.st_uid != 0 or status.st_mode & 0o022: world.append(path)
reply([sorted(os.listdir(folder)), size, world, sorted(os.listdir(folder + '/licences'))])`;
    const [names, size, writable, licences] = await box.agent.ask<[string[], number, string[], string[]]>(look);
    expect([names, writable]).toEqual([["lib", "licences", "mime.conf", "squid"], []]);
    expect(size).toBeLessThan(SQUID_MAX);
    expect(licences).toEqual(expect.arrayContaining(["squid", "libecap3", "libkrb5-3"]));
    const [, packages] = await box.agent.ask<[number, string]>(shell("dpkg-query --show squid squid-common cron systemd 2>/dev/null"));
    expect(packages).toBe("");
  });

  test("has a folder for the cache of packages, which is its user's alone", async () => {
    const look = "s = os.stat('/var/cache/kernelbox')\nreply([s.st_uid, s.st_gid, oct(s.st_mode), os.listdir('/var/cache/kernelbox')])";
    expect(await box.agent.ask(look)).toEqual([1000, 1000, "0o40700", []]);
  });

  test("has no file that gives its reader the rights of somebody else", async () => {
    expect(await box.agent.ask(find("/", "stat.S_ISREG(mode) and mode & 0o6000"))).toEqual([]);
  });

  test("has words in place of pip and npm, for programs and people alike", async () => {
    const ask =
      "import subprocess\nreply([subprocess.run([n], capture_output=True, text=True).stderr[:20] for n in ('pip', 'pip3', 'npm')])";
    expect(await box.agent.ask(ask)).toEqual(["pip is not in this s", "pip3 is not in this ", "npm is not in this s"]);
  });

  test("has nothing of what built it: no installers, no index settings, no build arguments", async () => {
    const builders = ["uv", "uvx", "gcc", "cc"];
    expect(
      await box.agent.ask(
        `import shutil\nreply([n for n in ${JSON.stringify(builders)} if shutil.which(n, path='/opt/py/bin:/usr/bin:/bin:/usr/local/bin')])`,
      ),
    ).toEqual([]);
    const files = [
      "/opt/uv",
      "/opt/build.txt",
      "/opt/core.txt",
      "/opt/full.txt",
      "/etc/pip.conf",
      "/root/.config/pip",
      "/opt/install-packages.sh",
    ];
    expect(await box.agent.ask(`reply([p for p in ${JSON.stringify(files)} if os.path.exists(p)])`)).toEqual([]);
    const names = (box.image.Config.Env ?? []).map((line) => line.split("=")[0]).sort();
    expect(names).toEqual(["KERNELBOX_IMAGE_VERSION", "KERNELBOX_LANGUAGES", "LANG", "PATH"]);
    const docker = await dockerClient();
    const history: { CreatedBy: string }[] = await docker.getImage(box.spec.image).history();
    expect(history.length).toBeGreaterThan(5);
    const told = history.filter(({ CreatedBy }) => /INDEX_URL|UV_|PIP_|_PROXY|:\/\//i.test(CreatedBy));
    expect(told).toEqual([]);
  });
});
