// Forty everyday types of zod, as the JSON Schemas that it writes for them: one per line, with a name.

import { z } from "zod";

const point = z.object({ x: z.int(), y: z.int() });
const node = z.object({
  value: z.int(),
  get children() {
    return z.array(node);
  },
});

const types = {
  string: z.string(),
  number: z.number(),
  int: z.int(),
  boolean: z.boolean(),
  null: z.null(),
  any: z.any(),
  literal: z.literal("a"),
  enum: z.enum(["low", "high"]),
  "literals of several types": z.literal(["a", 1, true]),
  array: z.array(z.string()),
  "array with limits": z.array(z.int()).min(1).max(3),
  tuple: z.tuple([z.int(), z.string()]),
  "tuple with a rest": z.tuple([z.int()], z.string()),
  object: point,
  "strict object": z.strictObject({ name: z.string() }),
  "loose object": z.looseObject({ name: z.string() }),
  optional: z.object({ name: z.string(), age: z.int().optional() }),
  nullable: z.object({ name: z.string().nullable() }),
  default: z.object({ name: z.string().default("x") }),
  "nested object": z.object({ at: point, tags: z.array(z.string()) }),
  partial: point.partial(),
  extended: point.extend({ z: z.int() }),
  record: z.record(z.string(), z.int()),
  "record of an enum": z.record(z.enum(["a", "b"]), z.int()),
  union: z.union([z.string(), z.int()]),
  "discriminated union": z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("cat"), lives: z.int() }),
    z.object({ kind: z.literal("dog"), good: z.boolean() }),
  ]),
  intersection: z.intersection(point, z.object({ z: z.int() })),
  recursive: node,
  "string with limits": z.string().min(2).max(5),
  regex: z.string().regex(/^[A-Z]{2}-\d+$/),
  "starts with": z.string().startsWith("ab"),
  email: z.email(),
  url: z.url(),
  uuid: z.uuid(),
  datetime: z.iso.datetime(),
  date: z.iso.date(),
  ipv4: z.ipv4(),
  base64: z.base64(),
  "number with limits": z.number().min(0).max(1),
  "multiple of": z.int().multipleOf(5).positive(),
};

if (Object.keys(types).length !== 40) throw new Error(`${Object.keys(types).length} types`);
for (const [name, type] of Object.entries(types)) {
  console.log(JSON.stringify({ name, schema: z.toJSONSchema(type) }));
}
