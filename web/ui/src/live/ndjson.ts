// Chunks of text in, whole lines out. Empty lines keep a connection alive and
// say nothing.

const LONGEST = 32 << 20;

export class LineSplitter {
  private rest = "";

  /** The lines that this chunk completes. */
  push(chunk: string): string[] {
    const text = this.rest + chunk;
    const lines = text.split("\n");
    this.rest = lines.pop() ?? "";
    if (this.rest.length > LONGEST) throw new Error("a line of the stream is too long");
    return lines.map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line)).filter((line) => line.trim() !== "");
  }

  /** What was left without a line end. */
  finish(): string[] {
    const rest = this.rest;
    this.rest = "";
    return rest.trim() === "" ? [] : [rest];
  }
}
