// The search runs in a worker, which a browser does not start for a page that was opened from a disk. There it runs in
// a hidden frame instead, whose messages go to and fro as a worker's do; nothing is fetched from anywhere else.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      const inner = (this.inner = frame.contentWindow);
      inner.postMessage = (data) => this.tell(this, data, this.onmessage);
      const script = frame.contentDocument.createElement("script");
      script.src = new URL(url, location.href).href;
      script.onload = () => {
        this.ready = true;
        this.waiting.forEach((data) => this.postMessage(data));
      };
      frame.contentDocument.body.appendChild(script);
    }

    postMessage(data) {
      if (this.ready) this.tell(this.inner, data, this.inner.onmessage);
      else this.waiting.push(data);
    }

    tell(target, data, handler) {
      const event = new MessageEvent("message", { data });
      target.dispatchEvent(event);
      if (handler && target === this) handler.call(target, event);
    }
  };
  window.Worker = window.IFrameWorker;
}
