// One player for each clip: frame slider, speed, a cursor in the plot below, jumps to worst frames.
"use strict";

for (const clip of document.querySelectorAll(".clip")) {
  const fps = Number(clip.dataset.fps), frames = Number(clip.dataset.frames);
  const video = clip.querySelector("video"), play = clip.querySelector(".play");
  const slider = clip.querySelector("input"), readout = clip.querySelector("output");
  const cursor = clip.querySelector(".cursor"), curve = clip.querySelector(".curve");

  const show = (frame) => {
    slider.value = frame;
    readout.value = `frame ${frame} of ${frames - 1}`;
    clip.dataset.shown = frame;
    if (!cursor) return;
    cursor.style.left = `${Number(curve.dataset.zero) + frame * Number(curve.dataset.unit)}%`;
    cursor.style.visibility = "visible";
  };
  const showTime = (seconds) => show(Math.min(frames - 1, Math.floor(seconds * fps + 0.01)));
  // The middle of a frame's time: its edges may round to the neighbour.
  const seek = (frame) => { video.pause(); video.currentTime = (frame + 0.5) / fps; show(frame); };

  const follow = (now, data) => {
    if (!video.paused) showTime(data.mediaTime);
    video.requestVideoFrameCallback(follow);
  };
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(follow);
  else video.addEventListener("timeupdate", () => video.paused || showTime(video.currentTime));

  play.addEventListener("click", () => (video.paused ? video.play() : video.pause()));
  video.addEventListener("click", () => play.click());
  video.addEventListener("play", () => { play.textContent = "❚❚"; });
  video.addEventListener("pause", () => { play.textContent = "▶"; });
  slider.addEventListener("input", () => seek(Number(slider.value)));
  clip.querySelector("select").addEventListener("change", (event) => { video.playbackRate = Number(event.target.value); });
  for (const button of clip.querySelectorAll(".seek"))
    button.addEventListener("click", () => seek(Number(button.dataset.frame)));
  show(0);
}

// Clips play while they are seen, unless the reader has asked for less motion.
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries)
      if (isIntersecting) target.play().catch(() => {}); else target.pause();
  }, { threshold: 0.6 });
  document.querySelectorAll(".clip video").forEach((video) => seen.observe(video));
}
