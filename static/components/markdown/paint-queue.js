const BUDGET = 8; // milliseconds of painting a frame

/**
 * Paints what waits for it, a little each frame, so that the page goes on answering keys; and not before what it
 * takes is loaded. Who adds something sees it painted before the screen is next drawn, unless there is much to do.
 *
 * @template {{paint: () => void}} Item
 */
export class PaintQueue {
  /** @param {() => Promise<void>} prepare loads what painting takes; never fails */
  constructor(prepare) {
    this.prepare = prepare;
    /** @type {Set<Item>} */
    this.waiting = new Set();
  }

  /** @param {Item} item */
  async add(item) {
    this.waiting.add(item);
    if (this.waiting.size > 1) return;
    await this.prepare();
    requestAnimationFrame(() => this.paintSome());
  }

  paintSome() {
    const until = performance.now() + BUDGET;
    for (const item of this.waiting) {
      this.waiting.delete(item);
      try {
        item.paint();
      } catch (error) {
        console.error(error); // the others are painted all the same
      }
      if (performance.now() > until) break;
    }
    if (this.waiting.size) requestAnimationFrame(() => this.paintSome());
  }
}
