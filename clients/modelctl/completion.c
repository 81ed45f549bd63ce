/* completion.c: `modelctl completion`. modelctl, one thread. */
#include <stdio.h>

#include "clients/modelctl/modelctl.h"

static const char completion_usage[] =
	"usage: modelctl completion\n"
	"\n"
	"Prints what makes bash complete commands, options and names of models:\n"
	"    . <(modelctl completion)\n"
	"In zsh after `autoload bashcompinit && bashcompinit`.\n";

/* Commands and options are those of the help texts; models are asked for. */
static const char script[] =
	"_modelctl() {\n"
	"	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= "
	"i\n"
	"	for ((i = 1; i < COMP_CWORD; i++)); do\n"
	"		case ${COMP_WORDS[i]} in\n"
	"		-a | --address | -t | --timeout | -o | --format) ((i++)) ;;\n"
	"		-*) ;;\n"
	"		*) command=${COMP_WORDS[i]}; break ;;\n"
	"		esac\n"
	"	done\n"
	"	case $before in\n"
	"	--format) COMPREPLY=($(compgen -W 'json table wide' -- \"$word\")); return ;;\n"
	"	-o) [ \"$command\" = infer ] || {\n"
	"		COMPREPLY=($(compgen -W 'json table wide' -- \"$word\")); return; } ;;\n"
	"	esac\n"
	"	case $word in\n"
	"	-*) COMPREPLY=($(compgen -W \"$(modelctl $command --help 2>/dev/null |\n"
	"		sed -n 's/^  \\(-[a-z0-9], \\)\\{0,1\\}\\( *\\)\\(--[a-z-]*\\).*/\\3/p')\n"
	"		--address --timeout --format --json --help\" -- \"$word\")) ;;\n"
	"	*)\n"
	"		if [ -z \"$command\" ]; then\n"
	"			COMPREPLY=($(compgen -W \"$(modelctl --help |\n"
	"				sed -n 's/^  \\([a-z][a-z-]*\\)  .*/\\1/p')\" -- "
	"\"$word\"))\n"
	"		elif [ \"$command\" != completion ]; then\n"
	"			COMPREPLY=($(compgen -W \"$(modelctl -t 1 models 2>/dev/null |\n"
	"				sed 's/ .*//')\" -- \"$word\"))\n"
	"		fi ;;\n"
	"	esac\n"
	"}\n"
	"complete -o default -F _modelctl modelctl\n";

int command_completion(struct modelctl *m, int argc, char **argv)
{
	static const struct modelctl_line line = {
		.usage = completion_usage, .arguments = "no argument"};
	int r = modelctl_parse(m, argc, argv, &line);

	if (r >= 0)
		return r;
	return fputs(script, stdout) < 0 ? MODELCTL_FAILED : MODELCTL_OK;
}
