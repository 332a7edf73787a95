// Looks at a page as a reader would, in a frame as wide as the device, and tells
// the page around it what is wrong.
(() => {
  const wrong = [];
  const root = document.documentElement;
  if (root.scrollWidth > window.innerWidth) wrong.push(`${root.scrollWidth} px wide in a window of ${window.innerWidth}`);

  let level = 0;
  for (const h of document.querySelectorAll('h1,h2,h3,h4')) {
    const next = Number(h.tagName[1]);
    if (next > level + 1) wrong.push(`${h.tagName} "${h.textContent}" after H${level}`);
    level = next;
  }
  if (document.querySelectorAll('h1').length !== 1) wrong.push('not one H1');
  if (!root.lang) wrong.push('no language');
  if (document.querySelectorAll('script[src],link,img,iframe').length) wrong.push('loads something');

  for (const a of document.querySelectorAll('a[href^="#"]')) {
    if (!document.getElementById(a.hash.slice(1))) wrong.push(`no target of ${a.hash}`);
  }

  // WCAG 2.1, 1.4.3: contrast of text at least 4.5.
  const rgb = s => s.match(/[\d.]+/g).map(Number);
  const luminance = s => {
    const [r, g, b] = rgb(s).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (rgb(c)[3] !== 0) return c;
    }
    return 'rgb(255, 255, 255)';
  };
  let texts = 0;
  for (const e of document.body.querySelectorAll('*')) {
    if (e.tagName === 'SCRIPT' || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [luminance(getComputedStyle(e).color), luminance(background(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    texts++;
    if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(2)} of ${e.tagName} "${e.textContent.trim().slice(0, 20)}"`);
  }
  const dark = luminance(getComputedStyle(document.body).backgroundColor) < 0.5;
  parent.postMessage(`width=${window.innerWidth} texts=${texts} dark=${dark} wrong=[${wrong.join('; ')}]`, '*');
})();
