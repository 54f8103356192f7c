import { describe, expect, test } from "vitest";
import { decided, formOf } from "../src/chat/approvals";
import { addressee, candidates, completed, mentionAt } from "../src/chat/mentions";
import type { Agent } from "../src/contract";
import { size, when } from "../src/dates";
import { href, parseHash } from "../src/router";

const agent = (agent_id: string, name = agent_id): Agent => ({ agent_id, name, short_description: "", ready: true, needs: null });
const AGENTS = [agent("documents", "Documents"), agent("echo", "Echo"), agent("assistant", "Assistant")];

describe("the form for an agent's question", () => {
  test("is an approval with the decisions allowed for each action", () => {
    const form = formOf({
      action_requests: [
        { name: "send", args: { to: "a" }, description: "Send it" },
        { name: "drop", args: {} },
      ],
      review_configs: [{ action_name: "send", allowed_decisions: ["reject", "approve", "edit", "respond"] }],
    });
    expect(form).toEqual({
      kind: "approval",
      actions: [
        { name: "send", args: { to: "a" }, description: "Send it", allowed: ["approve", "edit", "reject"] },
        { name: "drop", args: {}, description: "", allowed: ["approve", "reject"] },
      ],
    });
  });

  test.each([
    ["Name?", { kind: "text", question: "Name?" }],
    [
      { question: "Which?", choices: ["a", "b"] },
      { kind: "choice", question: "Which?", choices: ["a", "b"] },
    ],
    [
      { question: "Which?", choices: [] },
      { kind: "text", question: "Which?" },
    ],
    [{ question: "Why?" }, { kind: "text", question: "Why?" }],
    [{ action_requests: [] }, { kind: "value", value: { action_requests: [] } }],
    [[1, 2], { kind: "value", value: [1, 2] }],
    [null, { kind: "value", value: null }],
  ])("for %j", (value, form) => expect(formOf(value)).toEqual(form));

  test("is answered with the decisions in their order", () => {
    expect(decided([{ type: "approve" }, { type: "reject", message: "no" }])).toEqual({
      decisions: [{ type: "approve" }, { type: "reject", message: "no" }],
    });
  });
});

describe("a mention", () => {
  test.each([
    ["@", 1, { start: 0, query: "" }],
    ["ask @Do", 7, { start: 4, query: "do" }],
    ["ask @do now", 7, { start: 4, query: "do" }],
    ["mail a@b", 8, null],
    ["@echo hi", 8, null],
  ])("%j at %i", (text, caret, expected) => expect(mentionAt(text, caret)).toEqual(expected));

  test("offers the agents whose name begins with it before those that hold it", () => {
    expect(candidates(AGENTS, "e").map((each) => each.agent_id)).toEqual(["echo", "documents"]);
    expect(candidates(AGENTS, "zzz")).toEqual([]);
    expect(candidates(AGENTS, "echo")).toEqual([]);
  });

  test("is finished in the middle of a text, with the caret behind it", () => {
    expect(completed("ask @do now", { start: 4, query: "do" }, 7, AGENTS[0]!)).toEqual({ text: "ask @documents now", caret: 15 });
  });

  test.each([
    ["@echo hello", "echo"],
    ["please, @Documents: when?", "documents"],
    ["@nobody hello", null],
    ["mail me at a@echo", null],
  ])("%j is for %s", (text, expected) => expect(addressee(text, AGENTS)?.agent_id ?? null).toBe(expected));
});

describe("an address", () => {
  test.each([
    ["", "workspaces", {}],
    ["#/", "workspaces", {}],
    ["#/account", "account", {}],
    ["#/workspace/w%2F1/chat/c1", "chat", { workspaceId: "w/1", chatId: "c1" }],
    ["#/workspace/w1/nothing", "notFound", {}],
    ["#/workspace/%E0%A4%A", "workspace", { workspaceId: "%E0%A4%A" }],
  ])("%j is the page %s", (hash, page, params) => expect(parseHash(hash)).toEqual({ page, params }));

  test("made for a page leads back to it", () => {
    const params = { workspaceId: "a b/c", chatId: "?" };
    expect(parseHash(href("chat", params))).toEqual({ page: "chat", params });
  });
});

test("sizes and times are short", () => {
  expect([size(12), size(5210), size(14_400), size(2_340_000)]).toEqual(["12 B", "5.2 kB", "14 kB", "2.3 MB"]);
  expect(when(null)).toBe("");
  expect(when("nonsense")).toBe("");
  expect(when("2001-01-05T10:00:00Z")).toContain("2001");
});
