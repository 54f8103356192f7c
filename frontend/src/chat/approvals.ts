/** What an agent asks a human, as a form this page can draw, and the value that answers it. */

import type { Json } from "../contract";

export interface Action {
  name: string;
  args: Json;
  description: string;
  allowed: Decision["type"][];
}

export type Decision =
  { type: "approve" } | { type: "edit"; edited_action: { name: string; args: Json } } | { type: "reject"; message?: string };

export type Form =
  | { kind: "approval"; actions: Action[] }
  | { kind: "choice"; question: string; choices: string[] }
  | { kind: "text"; question: string }
  | { kind: "value"; value: Json };

type Fields = { [key: string]: Json | undefined };

/** The form for a question's value; whatever is not known is shown as it came, with a field for the answer. */
export function formOf(value: Json): Form {
  if (typeof value === "string") return { kind: "text", question: value };
  if (!isFields(value)) return { kind: "value", value };
  if (Array.isArray(value.action_requests) && value.action_requests.length > 0) {
    return { kind: "approval", actions: value.action_requests.map((request) => actionOf(request, value.review_configs)) };
  }
  if (typeof value.question !== "string") return { kind: "value", value };
  const choices = Array.isArray(value.choices) ? value.choices.filter((choice) => typeof choice === "string") : [];
  return choices.length ? { kind: "choice", question: value.question, choices } : { kind: "text", question: value.question };
}

function isFields(value: Json | undefined): value is Fields & Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function actionOf(request: Json, configs: Json | undefined): Action {
  const fields: Fields = isFields(request) ? request : {};
  const name = text(fields.name) || "tool";
  return { name, args: fields.args ?? fields.arguments ?? {}, description: text(fields.description), allowed: allowedFor(name, configs) };
}

function text(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

const DECISIONS: Decision["type"][] = ["approve", "edit", "reject"];

function allowedFor(name: string, configs: Json | undefined): Decision["type"][] {
  const config = Array.isArray(configs) ? configs.find((each) => isFields(each) && each.action_name === name) : undefined;
  const allowed = isFields(config) && Array.isArray(config.allowed_decisions) ? config.allowed_decisions : ["approve", "reject"];
  return DECISIONS.filter((decision) => allowed.includes(decision));
}

/** The answer to an approval: one decision for each action, in the order they were asked. */
export function decided(decisions: Decision[]): Json {
  return { decisions } as unknown as Json;
}
