/** What a notebook says of its kernel, so that what opens it finds one of its own and colours the code. */

interface KernelMetadata {
  kernelspec: { name: string; display_name: string; language: string };
  language_info: { name: string; file_extension: string; mimetype: string };
}

const DENO = { name: "deno", display_name: "Deno", language: "typescript" };

const KERNELS: Record<string, KernelMetadata> = {
  python: {
    kernelspec: { name: "python3", display_name: "Python 3 (ipykernel)", language: "python" },
    language_info: { name: "python", file_extension: ".py", mimetype: "text/x-python" },
  },
  javascript: { kernelspec: DENO, language_info: { name: "javascript", file_extension: ".js", mimetype: "text/javascript" } },
  typescript: { kernelspec: DENO, language_info: { name: "typescript", file_extension: ".ts", mimetype: "text/x.typescript" } },
  bash: {
    kernelspec: { name: "bash", display_name: "Bash", language: "bash" },
    language_info: { name: "bash", file_extension: ".sh", mimetype: "text/x-sh" },
  },
  r: {
    kernelspec: { name: "ir", display_name: "R", language: "R" },
    language_info: { name: "R", file_extension: ".r", mimetype: "text/x-r-source" },
  },
};

export function kernelMetadata(language: string): KernelMetadata {
  return (
    KERNELS[language] ?? {
      kernelspec: { name: language, display_name: language, language },
      language_info: { name: language, file_extension: ".txt", mimetype: "text/plain" },
    }
  );
}
