// A short sound for somebody who waits and does not look.

/** Two soft tones, half a second. Without a click on the page before, browsers keep silent; that is all right. */
export function chime() {
  const Context = window.AudioContext;
  if (!Context) return;
  const context = new Context();
  [[660, 0], [880, 0.18]].forEach(([hertz, start]) => {
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0.0001, context.currentTime + start);
    volume.gain.exponentialRampToValueAtTime(0.12, context.currentTime + start + 0.03);
    volume.gain.exponentialRampToValueAtTime(0.0001, context.currentTime + start + 0.3);
    tone.connect(volume).connect(context.destination);
    tone.start(context.currentTime + start);
    tone.stop(context.currentTime + start + 0.32);
  });
}
