import { render } from "preact-render-to-string";
import { describe, expect, test } from "vitest";
import { Markdown } from "../src/chat/markdown";

const html = (text: string) => render(<Markdown text={text} />).replace(/^<div class="prose">|<\/div>$/g, "");

describe("text becomes elements", () => {
  test.each([
    ["**bold**, *soft* and `code`", "<p><strong>bold</strong>, <em>soft</em> and <code>code</code></p>"],
    ["one\ntwo", "<p>one<br/>two</p>"],
    ["- a\n- b", "<ul><li>a</li><li>b</li></ul>"],
    ["3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'],
    ["a < b & c", "<p>a &lt; b &amp; c</p>"],
    ["a &lt; b &amp;amp; c", "<p>a &lt; b &amp;amp; c</p>"],
    ["[site](https://example.org)", '<p><a href="https://example.org" target="_blank" rel="noopener noreferrer nofollow">site</a></p>'],
  ])("%j", (text, expected) => expect(html(text)).toBe(expected));

  test("a code block keeps its text as it is", () => {
    expect(html("```js\nif (a < b) **c**\n```")).toContain("<code>if (a &lt; b) **c**</code>");
  });

  test("a table keeps its columns", () => {
    expect(html("| a | b |\n|---|--:|\n| 1 | 2 |")).toContain('<td>1</td><td class="right">2</td>');
  });

  test("headings stand below the page's own, whatever depth the answer begins with", () => {
    expect(html("### a\n\n##### b")).toBe("<h2>a</h2><h3>b</h3>");
  });
});

describe("citations stay text", () => {
  test.each(["It opens at five [1].", "Sources:\n[1]: guide.md, section 2", "[1]: https://example.org"])("%j", (text) => {
    expect(html(text)).toContain("[1]");
    expect(html(text)).not.toMatch(/<a [^>]*>\[?1/);
  });
});

describe("nothing an agent writes becomes markup or a request", () => {
  test.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    'text <b onclick="x()">bold</b>',
    "![picture](https://example.org/track.png)",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](&#106;avascript:alert(1))",
    "<javascript:alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "<iframe src=https://example.org></iframe>",
    "<svg/onload=alert(1)>",
    '[x](https://example.org"onmouseover="alert(1))',
    "<style>*{display:none}</style>",
  ])("%j", (text) => {
    const tags = [...html(text).matchAll(/<(\w+)([^>]*)>/g)];
    for (const [, tag, attributes] of tags) {
      expect(["p", "a", "code", "strong", "em", "br"]).toContain(tag);
      expect(attributes).not.toMatch(/\son|javascript:|data:|src=/i);
    }
  });
});

test("half an answer, cut anywhere, is shown without failing", () => {
  const answer =
    "# T\n\n- a **b** [c](https://d.e)\n\n| x | y |\n|---|---|\n| 1 | `2` |\n\n```py\nprint('hi')\n```\n> q\n\n1. one\n   - two\n";
  for (let end = 0; end <= answer.length; end++) expect(() => html(answer.slice(0, end))).not.toThrow();
});
