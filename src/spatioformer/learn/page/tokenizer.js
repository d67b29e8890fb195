"use strict";
/* The tokenizer of a model of `text train`, in plain JavaScript: byte-pair encoding, or whole words.

   data: kind "bpe" or "words"; pieces: the vocabulary, by id; shown: the same in readable form;
   merges: pairs of pieces, the first to be joined first ("bpe"). */

class Tokenizer {
  constructor({ kind, pieces, shown, merges }) {
    this.shown = shown;
    this.kind = kind;
    this.ids = new Map(pieces.map((piece, id) => [piece, id]));
    this.ranks = new Map(merges.map((pair, rank) => [pair, rank]));
  }

  encode(text) {
    if (this.kind === "words") return (text.match(WORDS) ?? []).map((word) => this.ids.get(word) ?? this.ids.get("<unk>"));
    return (text.match(GPT2) ?? []).flatMap((word) => this.join([...new TextEncoder().encode(word)].map((byte) => BYTES[byte])))
      .map((piece) => this.ids.get(piece));
  }

  /* Join the pair that was learned first, until no pair of neighbours is known. */
  join(pieces) {
    for (;;) {
      const ranks = pieces.slice(1).map((piece, i) => this.ranks.get(`${pieces[i]} ${piece}`) ?? Infinity);
      const best = Math.min(...ranks, Infinity);
      if (best === Infinity) return pieces;
      const joined = [];
      for (let i = 0; i < pieces.length; i++) {
        const first = ranks[i] === best;
        joined.push(first ? pieces[i] + pieces[i + 1] : pieces[i]);
        if (first) i++;
      }
      pieces = joined;
    }
  }
}

const WORDS = / ?[\p{L}\p{M}\p{N}\p{Pc}]+| ?[^\p{L}\p{M}\p{N}\p{Pc}\s]|\s/gu;
const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/* A letter for each byte: printable ones stand for themselves, the others for letters from 256 on. */
const BYTES = (() => {
  const printable = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();
