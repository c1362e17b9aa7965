// What can be done with a task: the commands, and what they ask for.

const REASON = { name: "reason", label: "Why" };
const RESULT = { name: "result", label: "Result, for the tasks that need this one", multiline: true };
const NEEDED = { ...REASON, required: true };

/**
 * The transitions of a status, by the names that `task show` has in `allowed`. One without `fields` asks for
 * nothing. The rules decide: what they refuse is answered with their own sentence.
 */
export const TRANSITIONS = {
  claim: { command: "task claim", label: "Claim" },
  complete: {
    command: "task complete",
    label: "Complete",
    fields: [RESULT],
  },
  fail: { command: "task fail", label: "Fail", fields: [{ ...REASON, label: "Why it cannot be done", required: true }], danger: true },
  release: { command: "task release", label: "Release", fields: [REASON] },
  renew: { command: "task renew", label: "Extend the lease" },
  review: { command: "task review", label: "Take the review" },
  approve: { command: "task approve", label: "Approve", fields: [{ name: "comment", label: "Comment" }] },
  reject: { command: "task reject", label: "Reject", fields: [{ ...NEEDED, label: "What is missing" }], danger: true },
  block: { command: "task block", label: "Block", fields: [{ ...NEEDED, label: "What it waits for, outside the board" }] },
  unblock: { command: "task unblock", label: "Unblock" },
  reopen: {
    command: "task reopen",
    label: "Reopen",
    fields: [REASON, { name: "downstream", label: "Also all that was done after it", isBox: true }],
  },
  cancel: { command: "task cancel", label: "Cancel the task", fields: [REASON], danger: true },
  archive: { command: "task archive", label: "Archive", fields: [], many: true, danger: true },
};

/** What is possible with a task of any status. */
export const MORE = {
  force: {
    command: "task complete",
    label: "Complete by force",
    fields: [RESULT, { ...NEEDED, label: "Why: without a claim, or in spite of open needs and failed checks" }],
    args: { force: true },
    danger: true,
  },
  signal: {
    command: "task signal",
    label: "Give a signal",
    fields: [
      { name: "name", label: "Which signal; all if empty" },
      { name: "text", label: "Comment" },
    ],
  },
  sling: {
    command: "sling",
    label: "Give to an agent",
    fields: [
      { name: "to", label: "Agent", required: true, list: "agents" },
      { name: "message", label: "Message with it" },
      { name: "force", label: "Also if its other work has to go back", isBox: true },
    ],
  },
  need: {
    command: "task dep add",
    label: "Add a link",
    fields: [
      { name: "other", label: "Id of the other task", required: true },
      {
        name: "kind",
        label: "What it is",
        options: ["needs", "needs-failure-of", "parent", "waits-for", "related", "discovered-from", "duplicates", "supersedes", "caused-by"],
      },
    ],
  },
  unlink: { command: "task dep remove", label: "Remove a link", fields: [{ name: "other", label: "Id of the other task", required: true }, REASON] },
  move: { command: "task move", label: "Move", fields: [{ name: "ws", label: "Workstream", required: true }], many: true },
  duplicate: { command: "task duplicate", label: "Is a duplicate", fields: [{ name: "of", label: "Id of the task that says the same", required: true }, REASON], danger: true },
  supersede: { command: "task supersede", label: "Is replaced", fields: [{ name: "by", label: "Id of the task that takes its place", required: true }, REASON], danger: true },
  delete: { command: "task delete", label: "Delete", fields: [NEEDED], many: true, danger: true },
};
