/* Edits a copy of a flattened device tree. The copy is laid out as header,
   reservations, structure, strings; what is inserted moves what is behind it.
   Afterwards the copy is what fdt.c reads. */
#include "fw.h"

enum { BEGIN_NODE = 1, END_NODE = 2, PROP = 3, NOP = 4, END = 9, HEADER = 40 };
enum { TOTAL = 4, STRUCT = 8, STRINGS = 12, RESERVED = 16, VERSION = 20, COMPATIBLE = 24, STRINGS_SIZE = 32, STRUCT_SIZE = 36 };

static u8 *tree;
static u64 room;

static void put32(u8 *p, u32 v)
{
    p[0] = v >> 24;
    p[1] = v >> 16;
    p[2] = v >> 8;
    p[3] = v;
}

static u32 field(u32 at) { return be32(tree + at); }

int fdtedit_open(u8 *to, u64 bytes, const u8 *from)
{
    const u8 *reserved = from + be32(from + RESERVED);
    u32 n = 0;
    while (be_cells(reserved + n, 2) || be_cells(reserved + n + 8, 2))
        n += 16;
    n += 16;
    u32 structure = be32(from + STRUCT_SIZE), strings = be32(from + STRINGS_SIZE);
    if (HEADER + (u64)n + structure + strings > bytes)
        return -1;
    memcpy(to, from, HEADER);
    memcpy(to + HEADER, reserved, n);
    memcpy(to + HEADER + n, from + be32(from + STRUCT), structure);
    memcpy(to + HEADER + n + structure, from + be32(from + STRINGS), strings);
    tree = to;
    room = bytes;
    put32(tree + RESERVED, HEADER);
    put32(tree + STRUCT, HEADER + n);
    put32(tree + STRINGS, HEADER + n + structure);
    put32(tree + TOTAL, HEADER + n + structure + strings);
    put32(tree + VERSION, 17);
    put32(tree + COMPATIBLE, 16);
    return fdt_open((u64)to) ? 0 : -1;
}

/* Replaces `old` bytes at `at` of the structure block by room for `new`. */
static int splice(u32 at, u32 old, u32 new)
{
    u32 total = field(TOTAL), from = field(STRUCT) + at + old;
    if (new > old && total + (u64)(new - old) > room)
        return -1;
    memmove(tree + from + new - old, tree + from, total - from);
    put32(tree + STRUCT_SIZE, field(STRUCT_SIZE) + new - old);
    put32(tree + STRINGS, field(STRINGS) + new - old);
    put32(tree + TOTAL, total + new - old);
    return fdt_open((u64)tree) ? 0 : -1;
}

/* The offset of `name` in the strings block, which is the last and may grow. */
static s64 string(const char *name)
{
    u32 size = field(STRINGS_SIZE), n = strlen(name) + 1;
    char *strings = (char *)tree + field(STRINGS);
    for (u32 i = 0; i < size; i += strlen(strings + i) + 1)
        if (strcmp(strings + i, name) == 0)
            return i;
    if (field(TOTAL) + (u64)n > room)
        return -1;
    memcpy(strings + size, name, n);
    put32(tree + STRINGS_SIZE, size + n);
    put32(tree + TOTAL, field(TOTAL) + n);
    return size;
}

static u32 body(int node) { return node + 4 + ALIGN_UP(strlen(fdt_name(node)) + 1, 4); }

/* A child of the root; created as its first if it is not there. `path` is "/name". */
static int child(const char *path)
{
    int node = fdt_path(path, ~0ul), depth = 0;
    if (node >= 0)
        return node;
    u32 text = ALIGN_UP(strlen(path + 1) + 1, 4), at = body(fdt_next(-1, &depth));
    const u8 *s = tree + field(STRUCT);
    for (; be32(s + at) == PROP || be32(s + at) == NOP; s = tree + field(STRUCT))
        at += be32(s + at) == NOP ? 4 : 12 + ALIGN_UP(be32(s + at + 4), 4);
    if (splice(at, 0, 8 + text) < 0)
        return -1;
    u8 *p = tree + field(STRUCT) + at;
    memset(p, 0, 8 + text);
    put32(p, BEGIN_NODE);
    memcpy(p + 4, path + 1, strlen(path + 1));
    put32(p + 4 + text, END_NODE);
    return at;
}

int fdtedit_delete(const char *path, const char *name)
{
    int len, node = fdt_path(path, ~0ul);
    const u8 *value = fdt_prop(node, name, &len);
    return value ? splice(value - 12 - (tree + field(STRUCT)), 12 + ALIGN_UP(len, 4), 0) : 0;
}

int fdtedit_set(const char *path, const char *name, const void *value, u32 len)
{
    int node = child(path);
    if (node < 0 || fdtedit_delete(path, name) < 0)
        return -1;
    s64 at_string = string(name);
    u32 at = body(node);
    if (at_string < 0 || splice(at, 0, 12 + ALIGN_UP(len, 4)) < 0)
        return -1;
    u8 *p = tree + field(STRUCT) + at;
    memset(p, 0, 12 + ALIGN_UP(len, 4));
    put32(p, PROP);
    put32(p + 4, len);
    put32(p + 8, at_string);
    memcpy(p + 12, value, len);
    return 0;
}
