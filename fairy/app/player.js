// Plays source and edit in step, with a wipe between them. Listeners are on the component's root,
// which stays when its contents change.
const root = element;
const screens = () => ({
  edit: root.querySelector("video.edit"),
  source: root.querySelector("video.source"),
});
const LARGEST_DRIFT_S = 0.3;

// The source follows the edit: a little faster or slower, or by a jump where it is far off
function follow() {
  const { edit, source } = screens();
  if (!edit || !source) return;
  const drift = source.currentTime - edit.currentTime;
  if (edit.paused || Math.abs(drift) > LARGEST_DRIFT_S) {
    if (Math.abs(drift) > 0.001 && !source.seeking) source.currentTime = edit.currentTime;
    source.playbackRate = 1;
  } else {
    source.playbackRate = Math.min(1.3, Math.max(0.7, 1 - 3 * drift));
  }
  if (edit.paused !== source.paused) edit.paused ? source.pause() : source.play().catch(() => {});
}

function clock(seconds) {
  const whole = Math.floor(seconds || 0);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function show() {
  const { edit } = screens();
  if (!edit) return;
  const button = root.querySelector("button.play"), seek = root.querySelector("input.seek");
  button.textContent = edit.paused ? "Play" : "Pause";
  if (document.activeElement !== seek || !edit.paused) {
    seek.value = edit.duration ? (1000 * edit.currentTime) / edit.duration : 0;
  }
  seek.setAttribute("aria-valuetext", clock(edit.currentTime));
  root.querySelector(".time").textContent = `${clock(edit.currentTime)} / ${clock(edit.duration)}`;
}

function tick() {
  const { edit } = screens();
  follow();
  show();
  if (edit && !edit.paused) requestAnimationFrame(tick);
}

function wipe(percent) {
  const player = root.querySelector(".player");
  player.style.setProperty("--wipe", `${percent}%`);
  const range = root.querySelector("input.wipe");
  if (range) range.value = percent;
}

root.addEventListener("click", (event) => {
  const { edit } = screens();
  if (event.target.closest("button.play")) edit.paused ? edit.play() : edit.pause();
  if (event.target.closest("button.full")) root.querySelector(".player").requestFullscreen();
  const copy = event.target.closest("button.copy");
  if (copy) navigator.clipboard.writeText(copy.dataset.text);
});
root.addEventListener("input", (event) => {
  const { edit } = screens();
  if (event.target.matches("input.seek") && edit.duration) {
    edit.currentTime = (event.target.value / 1000) * edit.duration;
  }
  if (event.target.matches("input.wipe")) wipe(event.target.value);
});
root.addEventListener("pointermove", (event) => {
  const screen = event.target.closest(".screen");
  if (!screen || !event.buttons || !screens().source) return;
  const box = screen.getBoundingClientRect();
  wipe(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
});
// Events of media do not bubble
for (const name of ["play", "pause", "seeking", "seeked", "timeupdate", "loadedmetadata", "ended"]) {
  root.addEventListener(name, (event) => {
    if (event.target.matches("video.edit")) tick();
  }, true);
}
