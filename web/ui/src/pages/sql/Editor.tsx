// The editor, with the tables' names at hand.

import { autocompletion, closeCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";

const WHO = ["time", "namespace", "pod", "node"];
const FIGURES = [
  "cpu_cores", "cpu_usage_nanos_total", "cpu_throttled_ratio", "memory_working_set_bytes", "memory_usage_bytes", "disk_read_bytes_per_second",
  "disk_write_bytes_per_second", "disk_write_bytes_total", "network_receive_bytes_per_second", "network_transmit_bytes_per_second", "processes",
];
const SCHEMA = {
  node: ["time", "node", ...FIGURES], pod: [...WHO, ...FIGURES], container: [...WHO, "container", ...FIGURES],
  decisions: ["time", "namespace", "autoscaler", "target", "current_replicas", "desired_replicas", "limited_by", "reason", "metrics", "scaled"],
};

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--calm)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--series-3)" },
  { tag: tags.number, color: "var(--series-4)" },
  { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
]);

const look = EditorView.theme({
  "&": { fontSize: "13px", backgroundColor: "transparent", color: "var(--ink)" },
  "&.cm-focused": { outline: "none" },
  ".cm-content": { fontFamily: "var(--mono, 'JetBrains Mono Variable', monospace)", minHeight: "130px", padding: "10px 0", caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--faint)", border: "none" },
  ".cm-tooltip": { backgroundColor: "var(--panel)", border: "1px solid var(--line)", color: "var(--ink)" },
  "&.cm-focused .cm-selectionBackground, ::selection": { backgroundColor: "color-mix(in srgb, var(--accent) 25%, transparent) !important" },
});

export function Editor({ value, onChange, onRun }: { value: string; onChange: (text: string) => void; onRun: (text: string) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const latest = useRef({ onChange, onRun });
  latest.current = { onChange, onRun };
  const first = useRef(value);
  useEffect(() => {
    if (!box.current) return;
    const run = (editor: EditorView) => {
      // What is offered would stand over the answer.
      closeCompletion(editor);
      latest.current.onRun(editor.state.doc.toString());
      return true;
    };
    const made = new EditorView({
      parent: box.current,
      state: EditorState.create({
        doc: first.current,
        extensions: [
          Prec.highest(keymap.of([{ key: "Ctrl-Enter", mac: "Cmd-Enter", run }])), history(), lineNumbers(), autocompletion(),
          keymap.of([...defaultKeymap, ...historyKeymap]), sql({ dialect: PostgreSQL, schema: SCHEMA }), syntaxHighlighting(colours), look, EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": "SQL" }),
          EditorView.updateListener.of((update) => update.docChanged && latest.current.onChange(update.state.doc.toString())),
        ],
      }),
    });
    view.current = made;
    return () => made.destroy();
  }, []);
  useEffect(() => {
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== value) editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } });
  }, [value]);
  return <div ref={box} />;
}
