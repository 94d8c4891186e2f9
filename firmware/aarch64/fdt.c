/* Reads a flattened device tree (Devicetree Specification, chapter 5). */
#include "fw.h"

enum { BEGIN_NODE = 1, END_NODE = 2, PROP = 3, NOP = 4, END = 9, DEEP = 16 };

const u8 *fdt;
static const u8 *structure;
static const char *strings;
static u32 structure_size;

u32 be32(const void *p)
{
    const u8 *b = p;
    return (u32)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

u64 be_cells(const void *p, int cells)
{
    u64 v = 0;
    for (const u8 *b = p; cells > 0; cells--, b += 4)
        v = v << 32 | be32(b);
    return v;
}

bool fdt_open(u64 at)
{
    const u8 *p = (const u8 *)at;
    if (be32(p) != 0xd00dfeed || be32(p + 4) > 2 << 20 || be32(p + 20) < 16)
        return false;
    fdt = p;
    structure = p + be32(p + 8);
    strings = (const char *)p + be32(p + 12);
    structure_size = be32(p + 36);
    return true;
}

/* The token after the one at `at`. */
static int skip(int at)
{
    const u8 *p = structure + at;
    switch (be32(p)) {
    case BEGIN_NODE:
        return at + 4 + ALIGN_UP(strlen((const char *)p + 4) + 1, 4);
    case PROP:
        return at + 12 + ALIGN_UP(be32(p + 4), 4);
    default:
        return at + 4;
    }
}

/* The next node in order of the file, -1 after the last; node -1 is before the
   root. depth: the root's is 1 if it started as 0. */
int fdt_next(int node, int *depth)
{
    for (int at = node < 0 ? 0 : skip(node); (u32)at < structure_size; at = skip(at))
        switch (be32(structure + at)) {
        case BEGIN_NODE:
            (*depth)++;
            return at;
        case END_NODE:
            (*depth)--;
            break;
        case END:
            return -1;
        }
    return -1;
}

const char *fdt_name(int node) { return (const char *)structure + node + 4; }

const void *fdt_prop(int node, const char *name, int *len)
{
    if (node < 0)
        return NULL;
    for (int at = skip(node); (u32)at < structure_size; at = skip(at)) {
        const u8 *p = structure + at;
        u32 token = be32(p);
        if (token == NOP)
            continue;
        if (token != PROP)
            return NULL;
        if (strcmp(strings + be32(p + 8), name) == 0) {
            if (len)
                *len = be32(p + 4);
            return p + 12;
        }
    }
    return NULL;
}

/* A property that is a string, or NULL. */
const char *fdt_string(int node, const char *name)
{
    int len;
    const char *s = fdt_prop(node, name, &len);
    return s && len > 0 && s[len - 1] == 0 ? s : NULL;
}

/* "/a/b@1", an alias, either followed by ":options"; a unit address may be left out. */
int fdt_path(const char *path, u64 len)
{
    u64 n = 0;
    while (n < len && path[n] && path[n] != ':')
        n++;
    if (n && path[0] != '/') {
        char name[32];
        if (n >= sizeof name)
            return -1;
        memcpy(name, path, n);
        name[n] = 0;
        const char *full = fdt_string(fdt_path("/aliases", ~0ul), name);
        return full && full[0] == '/' ? fdt_path(full, ~0ul) : -1;
    }
    int depth = 0, node = fdt_next(-1, &depth), level = 1;
    for (u64 i = 0; node >= 0;) {
        while (i < n && path[i] == '/')
            i++;
        if (i == n)
            return node;
        u64 m = i;
        while (m < n && path[m] != '/')
            m++;
        do {
            node = fdt_next(node, &depth);
            if (node >= 0 && depth <= level)
                return -1;
        } while (node >= 0 && !(depth == level + 1 && strncmp(fdt_name(node), path + i, m - i) == 0 &&
                                (fdt_name(node)[m - i] == 0 || fdt_name(node)[m - i] == '@')));
        level++;
        i = m;
    }
    return -1;
}

bool fdt_is_compatible(int node, const char *what)
{
    int len;
    const char *s = fdt_prop(node, "compatible", &len);
    for (int i = 0; s && i < len; i += strlen(s + i) + 1)
        if (strcmp(s + i, what) == 0)
            return true;
    return false;
}

/* The first node after `from` (-1: from the start) that is compatible and not disabled. */
int fdt_compatible(int from, const char *what)
{
    int depth = 0;
    for (int n = fdt_next(from, &depth); n >= 0; n = fdt_next(n, &depth)) {
        const char *status = fdt_string(n, "status");
        if (fdt_is_compatible(n, what) && (!status || status[0] == 'o'))
            return n;
    }
    return -1;
}

static u32 cells(int node, const char *name)
{
    const void *p = fdt_prop(node, name, NULL);
    return p ? be32(p) : name[1] == 'a' ? 2 : 1;
}

static int parent(int node)
{
    int stack[DEEP], depth = 0;
    for (int n = fdt_next(-1, &depth); n >= 0; n = fdt_next(n, &depth)) {
        if (depth >= DEEP || depth < 1)
            return -1;
        if (n == node)
            return depth > 1 ? stack[depth - 1] : -1;
        stack[depth] = n;
    }
    return -1;
}

/* Entry `index` of reg. Addresses are the processor's: bus ranges are not
   translated, as every device this program uses sits under the root. */
bool fdt_reg(int node, int index, u64 *address, u64 *size)
{
    int len, up = parent(node);
    const u8 *p = fdt_prop(node, "reg", &len);
    if (!p || up < 0)
        return false;
    int a = cells(up, "#address-cells"), s = cells(up, "#size-cells"), step = (a + s) * 4;
    if (a > 2 || s > 2 || (index + 1) * step > len)
        return false;
    *address = be_cells(p + index * step, a);
    if (size)
        *size = be_cells(p + index * step + a * 4, s);
    return true;
}

/* Entry `index` of a GIC's three-cell interrupts property as an INTID, or -1. */
int fdt_intid(int node, int index)
{
    int len;
    const u8 *p = fdt_prop(node, "interrupts", &len);
    if (!p || (index + 1) * 12 > len)
        return -1;
    p += index * 12;
    return be32(p + 4) + (be32(p) == 0 ? 32 : 16);
}
