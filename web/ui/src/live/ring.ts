// A buffer of bounded size: the newest values stay, the oldest go. Each value
// has a number that never changes, so a view can hold its place while values
// come in.

export class Ring<T> {
  readonly capacity: number;
  private readonly slots: (T | undefined)[] = [];
  private end = 0;
  private begin = 0;

  constructor(capacity: number) {
    if (!(capacity > 0)) throw new RangeError("a ring needs room for one value");
    this.capacity = capacity;
  }

  /** The number of the oldest value that is still there. */
  get first(): number {
    return this.begin;
  }

  /** The number that the next value will get. */
  get next(): number {
    return this.end;
  }

  get length(): number {
    return this.end - this.begin;
  }

  push(value: T): void {
    this.slots[this.end % this.capacity] = value;
    this.end += 1;
    if (this.length > this.capacity) this.begin = this.end - this.capacity;
  }

  get(number: number): T | undefined {
    return number >= this.begin && number < this.end ? this.slots[number % this.capacity] : undefined;
  }

  clear(): void {
    this.slots.length = 0;
    this.begin = this.end;
  }
}
