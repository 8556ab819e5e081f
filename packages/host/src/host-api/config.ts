/** One value of a plugin's configuration, as a person is asked for it. Every text is the host's, or the plugin's made safe to show. */
export interface ConfigField {
  /** The key in the configuration, as it is. */
  readonly key: string;
  readonly label: string;
  readonly description?: string;
  /** `json`: anything that has no field of its own, given as JSON. */
  readonly type: "text" | "number" | "integer" | "boolean" | "choice" | "json";
  readonly required: boolean;
  /** Kept in the vault, never shown; asked for unseen. */
  readonly sensitive: boolean;
  /** Of a sensitive value: where it is sent, or that the plugin receives it. Written by the host. */
  readonly notice?: string;
  /** Whether the operator or the plugin's own file gave a value. */
  readonly isSet: boolean;
  /** The value in force; never of a sensitive one. */
  readonly value?: unknown;
  readonly default?: unknown;
  readonly choices?: readonly { readonly value: string | number | boolean | null; readonly label: string }[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
}

export interface ConfigForm {
  readonly fields: readonly ConfigField[];
  /** Keys that the schema has beyond those that a form shows. */
  readonly more: number;
  /** Whether keys that the schema does not name are allowed. */
  readonly open: boolean;
}
