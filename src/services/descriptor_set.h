/*
 * descriptor_set.h: looks into a google.protobuf.FileDescriptorSet, whatever it has: which of its files has a
 * name, or a symbol. Nothing is unpacked: a file is handed out as the bytes that it is in the set.
 */
#ifndef SERVICES_DESCRIPTOR_SET_H
#define SERVICES_DESCRIPTOR_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A FileDescriptorProto; it lies in the set. */
struct descriptor_file {
	const uint8_t *data;
	size_t n;
};

/* The file of that name. False: there is none. */
bool descriptor_set_file(
	const uint8_t *set, size_t n, const char *name, struct descriptor_file *ret_file);
/* The file that declares a full name, such as "package.Message.field" or "package.Service.Method", without a dot
 * ahead of it. */
bool descriptor_set_symbol(
	const uint8_t *set, size_t n, const char *symbol, struct descriptor_file *ret_file);
/* Is it the name of a message? */
bool descriptor_set_message(const uint8_t *set, size_t n, const char *symbol);

#endif
