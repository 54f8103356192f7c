/**
 * The Markdown of an answer as elements. No HTML string is ever made: what an agent writes as HTML is shown as text, an
 * image becomes a link (a page never asks another host by itself), and a link goes to http, https or mailto only.
 */

import { Component, type ComponentChildren, type VNode } from "preact";
import { Marked, type Token, type Tokens } from "marked";

const marked = new Marked({
  gfm: true,
  breaks: true,
  tokenizer: {
    // A list of sources such as "[1]: guide.md" is text to be read, not a definition that vanishes.
    def: () => undefined,
  },
});

export function Markdown({ text }: { text: string }) {
  const tokens = marked.lexer(text);
  const depths = [...new Set(tokens.filter((token) => token.type === "heading").map((token) => (token as Tokens.Heading).depth))].sort();
  return (
    <div class="prose">
      {tokens.map((token, index) => (token.type === "space" ? null : <Block key={index} token={token} level={levelOf(token, depths)} />))}
    </div>
  );
}

/** Level of a heading on this page: those of an answer stand right below the page's own, whatever depth the answer began with. */
function levelOf(token: Token, depths: number[]): number {
  return token.type === "heading" ? depths.indexOf((token as Tokens.Heading).depth) : 0;
}

interface BlockProps {
  token: Token;
  level: number;
}

/** One block; while an answer grows only the last one is drawn again. */
class Block extends Component<BlockProps> {
  override shouldComponentUpdate({ token, level }: BlockProps): boolean {
    return token.raw !== this.props.token.raw || token.type !== this.props.token.type || level !== this.props.level;
  }

  override render() {
    const { token, level } = this.props;
    return token.type === "heading" ? heading(token as Tokens.Heading, level) : block(token);
  }
}

function childrenOf(token: Token): Token[] | undefined {
  return "tokens" in token ? token.tokens : undefined;
}

function blocks(tokens: Token[] | undefined): ComponentChildren {
  return tokens?.map((token) => block(token));
}

function block(token: Token): VNode | null {
  switch (token.type) {
    case "heading":
      return (
        <p>
          <strong>{inlines((token as Tokens.Heading).tokens)}</strong>
        </p>
      );
    case "paragraph":
      return <p>{inlines(token.tokens)}</p>;
    case "code":
      return codeBlock(token as Tokens.Code);
    case "blockquote":
      return <blockquote>{blocks(token.tokens)}</blockquote>;
    case "list":
      return list(token as Tokens.List);
    case "table":
      return table(token as Tokens.Table);
    case "hr":
      return <hr />;
    case "html":
      return <p>{token.raw.trim()}</p>;
    case "space":
      return null;
    default:
      return <>{childrenOf(token) ? inlines(childrenOf(token)) : inline(token)}</>;
  }
}

function heading(token: Tokens.Heading, level: number): VNode {
  const Tag = (["h2", "h3", "h4", "h5", "h6"] as const)[Math.min(level, 4)]!;
  return <Tag>{inlines(token.tokens)}</Tag>;
}

function codeBlock({ text, lang }: Tokens.Code): VNode {
  return (
    <pre tabIndex={0} aria-label={lang ? `Code, ${lang}` : "Code"} role="group">
      <code>{text}</code>
    </pre>
  );
}

function list(token: Tokens.List): VNode {
  const items = token.items.map((item) => <li class={item.task ? "task" : undefined}>{blocks(item.tokens)}</li>);
  return token.ordered ? <ol start={token.start === "" ? 1 : token.start}>{items}</ol> : <ul>{items}</ul>;
}

function table(token: Tokens.Table): VNode {
  const cell = (each: Tokens.TableCell) =>
    each.header ? (
      <th class={each.align ?? undefined}>{inlines(each.tokens)}</th>
    ) : (
      <td class={each.align ?? undefined}>{inlines(each.tokens)}</td>
    );
  return (
    <div class="table" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead>
          <tr>{token.header.map(cell)}</tr>
        </thead>
        <tbody>
          {token.rows.map((row) => (
            <tr>{row.map(cell)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inlines(tokens: Token[] | undefined): ComponentChildren {
  return tokens?.map((token) => inline(token));
}

function inline(token: Token): ComponentChildren {
  switch (token.type) {
    case "strong":
      return <strong>{inlines(token.tokens)}</strong>;
    case "em":
      return <em>{inlines(token.tokens)}</em>;
    case "del":
      return <del>{inlines(token.tokens)}</del>;
    case "codespan":
      return <code>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br />;
    case "link":
      return link((token as Tokens.Link).href, inlines(token.tokens));
    case "image":
      return link((token as Tokens.Image).href, (token as Tokens.Image).text || "image");
    case "checkbox":
      return (token as Tokens.Checkbox).checked ? "☑ " : "☐ ";
    case "html":
      return token.raw;
    default:
      return childrenOf(token) ? inlines(childrenOf(token)) : decoded((token as Tokens.Text).text ?? token.raw);
  }
}

function link(href: string, content: ComponentChildren): ComponentChildren {
  if (!/^(https?:\/\/|mailto:)/i.test(href)) return content;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {content}
    </a>
  );
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", "#39": "'" };

function decoded(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|apos|nbsp|#39);/g, (_, name: string) => ENTITIES[name]!);
}
