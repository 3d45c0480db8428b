// The answers of the server.

export interface Row {
  uid: string; registry: string; name: string; detail: string; at: string; by: string;
  is_retracted: boolean; state: string;
}
export interface Tag { name: string; position: number; by: string }
export interface Happening {
  position: number; recorded_at: string; actor: string; run: string | null; type: string;
  registry: string; uid: string; summary: string;
}
export interface Overview {
  name: string; as_of: number; head: number; last_at: string | null;
  counts: Record<string, number>; registries: Record<string, string>; tags: Tag[];
  events: Happening[];
}
export interface Listing {
  as_of: number; registry: string; total: number; items: Row[]; next: number | null;
  facets: Record<string, [string, number][]>;
}
export interface Whole extends Row {
  as_of: number; title: string; fields: Record<string, unknown>;
  links: Record<string, { items: Row[]; total: number }>;
  family: { uid: string; version: string | null; at: string }[];
  created: { position: number; at: string; by: string };
  retraction: string | null; has_lineage: boolean;
}
export interface Change {
  position: number; recorded_at: string; actor: string; run: string | null; type: string;
  changes: Record<string, [unknown, unknown]>;
}
export interface Moments {
  head: number; last_at: string | null; moments: [number, number][]; tags: Tag[];
}
