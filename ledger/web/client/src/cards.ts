// The cards of a picture: one a place, or one for all places that play one role.

import type { Timeline } from "./walk";

export interface Card {
  group: number; slots: number[]; registry: string; label: string; isFolded: boolean;
}
export interface Cards { cards: Card[]; cardOf: number[]; lines: [number, number][] }

const FOLD_FROM = 5;

export function foldable(line: Timeline): Map<number, number> {
  const sizes = new Map<number, number>();
  for (const slot of line.slots) sizes.set(slot.group, (sizes.get(slot.group) ?? 0) + 1);
  return new Map([...sizes].filter(([, size]) => size >= FOLD_FROM));
}

export function cardsOf(line: Timeline, folds: boolean, open: Set<number>): Cards {
  const alike = foldable(line);
  const cards: Card[] = [];
  const folded = new Map<number, number>();
  const ofSlot = line.slots.map((slot, number) => {
    if (folds && alike.has(slot.group) && !open.has(slot.group)) {
      const known = folded.get(slot.group);
      if (known !== undefined) {
        cards[known]!.slots.push(number);
        return known;
      }
      folded.set(slot.group, cards.length);
      cards.push({
        group: slot.group, slots: [number], registry: slot.registry,
        label: line.groups[slot.group]!, isFolded: true,
      });
    } else {
      cards.push({
        group: slot.group, slots: [number], registry: slot.registry, label: slot.label,
        isFolded: false,
      });
    }
    return cards.length - 1;
  });
  const cardOf = line.nodes.map((node) => ofSlot[node.slot]!);
  const lines = new Map<string, [number, number]>();
  for (const [, holder, target] of line.links) {
    const pair: [number, number] = [cardOf[target]!, cardOf[holder]!];
    if (pair[0] !== pair[1]) lines.set(pair.join(), pair);
  }
  return { cards, cardOf, lines: [...lines.values()] };
}

/** A name that fits: long ones keep both ends. */
export function short(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = Math.floor((most - 1) * 0.55);
  return `${text.slice(0, most - 1 - end)}…${text.slice(-end)}`;
}
