// Moments as people read them, and the addresses that hold them.

const DATE = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
  timeZone: "UTC",
});
const DAY = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", timeZone: "UTC" });

export const count = (value: number): string => value.toLocaleString("en-US");

export const moment = (at: string | number | null): string =>
  at === null ? "the beginning" : `${DATE.format(new Date(at))} UTC`;

export const day = (at: string | number): string => DAY.format(new Date(at));

/** The address of another page at the same moment. */
export function linked(path: string, changes: Record<string, string | null> = {}): string {
  const here = new URL(location.href).searchParams;
  const there = new URL(path, location.origin);
  for (const name of ["as_of", "compare"]) {
    const value = here.get(name);
    if (value !== null && !there.searchParams.has(name)) there.searchParams.set(name, value);
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) there.searchParams.delete(name);
    else there.searchParams.set(name, value);
  }
  return there.pathname + there.search;
}

export class Refused extends Error {}

/** What the server answers; an error of the ledger comes with its own words. */
export async function ask<T>(path: string, query: Record<string, string | null> = {}): Promise<T> {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) asked.set(name, value);
  const answer = await fetch(`/api/v1/${path}?${asked}`);
  const data = await answer.json();
  if (!answer.ok) throw new Refused(data.error ?? "the server gave no answer");
  return data as T;
}
