import type { ConfigField, ConfigForm } from "../host-api.ts";
import type { ConfigFieldAnswer, ConfigFormAnswer } from "../wire/index.ts";

export function toConfigForm({ fields, more, open }: ConfigForm): ConfigFormAnswer {
  return { fields: fields.map(toField), more, open };
}

/* Explicit, like every answer: a value of a sensitive field has no way out. */
function toField(field: ConfigField): ConfigFieldAnswer {
  const { description, notice, choices, minimum, maximum, minLength, maxLength } = field;
  return {
    key: field.key,
    label: field.label,
    ...(description !== undefined && { description }),
    type: field.type,
    required: field.required,
    sensitive: field.sensitive,
    ...(notice !== undefined && { notice }),
    is_set: field.isSet,
    ...(!field.sensitive && "value" in field && { value: field.value }),
    ...(!field.sensitive && "default" in field && { default: field.default }),
    ...(choices && { choices: choices.map((choice) => ({ ...choice })) }),
    ...(minimum !== undefined && { minimum }),
    ...(maximum !== undefined && { maximum }),
    ...(minLength !== undefined && { min_length: minLength }),
    ...(maxLength !== undefined && { max_length: maxLength }),
  };
}
