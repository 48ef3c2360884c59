// Work once a frame, however often it is asked for. A tab in the background
// draws no frames; a timer takes their place.

export function oncePerFrame(work: () => void): { schedule: () => void; cancel: () => void } {
  let pending: number | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const run = () => {
    cancel();
    work();
  };
  const cancel = () => {
    if (pending !== undefined) cancelAnimationFrame(pending);
    if (timer !== undefined) clearTimeout(timer);
    pending = undefined;
    timer = undefined;
  };
  const schedule = () => {
    if (pending !== undefined || timer !== undefined) return;
    if (document.hidden) timer = setTimeout(run, 250);
    else pending = requestAnimationFrame(run);
  };
  return { schedule, cancel };
}
