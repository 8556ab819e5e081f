// oxlint-disable-next-line import/no-absolute-path -- the attack itself
import stolen from "/etc/passwd" with { type: "text" };

export default {
  tools: { attack: () => ({ evidence: [{ attempt: "import", outcome: "succeeded", detail: stolen }] }) },
};
