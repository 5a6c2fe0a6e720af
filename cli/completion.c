/* SPDX-License-Identifier: ISC */
#include "cli/completion.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/filter.h"

#define WORDS_MAX 2000

/* completion_begin - zsh takes what is written for bash */
bool completion_begin(const char *shell)
{
	bool zsh = strcmp(shell, "zsh") == 0;
	if (!zsh && strcmp(shell, "bash") != 0)
		return false;
	if (zsh)
		puts("#compdef batonctl\nautoload -U +X bashcompinit && bashcompinit");
	else
		puts("# bash completion for batonctl(8)");
	puts("_batonctl()\n"
	     "{\n"
	     "\tlocal at=1 verb words= cur=${COMP_WORDS[COMP_CWORD]}\n"
	     "\tCOMPREPLY=()\n"
	     "\tif [ \"${COMP_WORDS[1]}\" = -c ]; then\n"
	     "\t\tif [ $COMP_CWORD = 2 ]; then\n"
	     "\t\t\tCOMPREPLY=( $(compgen -f -- \"$cur\") )\n"
	     "\t\t\treturn\n"
	     "\t\tfi\n"
	     "\t\tat=3\n"
	     "\tfi\n"
	     "\tverb=${COMP_WORDS[at]}\n"
	     "\t[ $COMP_CWORD -gt $at ] && case $verb in");
	return true;
}

/* is_word - something that is written as it stands: --json, in, add; not ID, 2h, P */
static bool is_word(const char *text, size_t len)
{
	size_t i = len > 2 && text[0] == '-' && text[1] == '-' ? 2 : 0;
	if (i == len || len - i < 2)
		return false;
	for (; i < len; i++)
		if (!islower((unsigned char)text[i]) && text[i] != '-')
			return false;
	return true;
}

/* has - is it in a list with a space before and behind each */
static bool has(const char *list, const char *word, size_t len)
{
	for (const char *p = list; (p = strchr(p, ' ')) && p[1]; p++)
		if (strncmp(p + 1, word, len) == 0 && p[1 + len] == ' ')
			return true;
	return false;
}

/* What a verb's usage offers. */
struct offer {
	char list[WORDS_MAX]; /* a space before and behind each */
	size_t n;
	bool site, filter;
};

/* collect - the words of a usage, each once */
static void collect(struct offer *o, const char *words)
{
	static const char cut[] = " |[]().\n";
	size_t len;
	for (const char *p = words; *p; p += len) {
		p += strspn(p, cut);
		len = strcspn(p, cut);
		o->site |= len == 4 && strncmp(p, "SITE", 4) == 0;
		o->filter |= len == 6 && strncmp(p, "FILTER", 6) == 0;
		if (is_word(p, len) && !has(o->list, p, len) && o->n + len + 2 < sizeof(o->list))
			o->n += (size_t)snprintf(
			    o->list + o->n, sizeof(o->list) - o->n, "%.*s ", (int)len, p);
	}
}

/* completion_verb - one case of the script */
void completion_verb(const char *name, const char *words)
{
	struct offer o = {.list = " ", .n = 1};
	collect(&o, words);
	if (o.filter)
		collect(&o, FILTER_USAGE);
	printf("\t%s)\n\t\twords='%.*s'\n", name, o.n > 1 ? (int)o.n - 2 : 0, o.list + 1);
	if (o.site)
		puts("\t\twords=\"$words $(batonctl sites --json 2>/dev/null |\n"
		     "\t\t\tsed -n 's/^{\"site\":\"\\([^\" ]*\\)\".*/\\1/p')\"");
	puts("\t\t;;");
}

/* completion_end - the verbs themselves */
void completion_end(const char *names)
{
	printf("\tesac\n"
	       "\t[ $COMP_CWORD -le $at ] && words='%s -c --help'\n"
	       "\tCOMPREPLY=( $(compgen -W \"$words\" -- \"$cur\") )\n"
	       "}\n"
	       "complete -F _batonctl batonctl\n",
	    names);
}
