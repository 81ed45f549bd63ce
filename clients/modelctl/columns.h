/* columns.h: text for a terminal of 80 columns. */
#ifndef CLIENTS_MODELCTL_COLUMNS_H
#define CLIENTS_MODELCTL_COLUMNS_H

#include <stdio.h>

#define COLUMNS_MAX 80u

/* Lines of more than COLUMNS_MAX bytes go on, where a blank lets them, in lines that begin with `indent` blanks. A word
 * that is too long stays whole. */
void columns_print(FILE *out, const char *text, unsigned indent);

#endif
