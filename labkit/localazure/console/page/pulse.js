// The beat of the page: one refresh after the other, never two at once.

/** Calls `beat` every `everyMs` while it runs and the page can be seen. */
export class Pulse {
  constructor(beat, everyMs) {
    this.beat = beat;
    this.everyMs = everyMs;
    this.running = false;
    this.timer = 0;
    this.busy = false;
    document.addEventListener("visibilitychange", () => this.now());
  }

  start() {
    this.running = true;
    this.now();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
  }

  /** Refresh at once, if it runs. */
  async now() {
    if (!this.running || this.busy || document.hidden) return;
    clearTimeout(this.timer);
    this.busy = true;
    try {
      await this.beat();
    } finally {
      this.busy = false;
      clearTimeout(this.timer);
      if (this.running) this.timer = setTimeout(() => this.now(), this.everyMs);
    }
  }
}
