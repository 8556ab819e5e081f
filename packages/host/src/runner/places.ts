/** Takes out of text where plugin and runner lie: at the level `runtime` these are real paths of the host. */
export interface Places {
  /** The bundle's URL; its directory is shown as `plugin:`. */
  bundle(url: string): void;
  /** The text without the runner's own stack frames and without the plugin's directory. */
  hide(text: string): string;
}

export function createPlaces(): Places {
  let root = "";
  return {
    bundle(url) {
      root = decodeURI(new URL(".", url).pathname);
    },
    hide(text) {
      if (root === "" || !text.includes("/")) return text;
      const own = text.includes("/runner.mjs") ? withoutRunner(text) : text;
      return own.replaceAll(`file://${root}`, "plugin:").replaceAll(root, "plugin:");
    },
  };
}

function withoutRunner(text: string): string {
  const lines = text.split("\n");
  return lines.filter((line) => !line.includes("/runner.mjs")).join("\n");
}
