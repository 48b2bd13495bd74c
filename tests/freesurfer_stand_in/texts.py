"""What recon-all says where it will not go on."""

BUG_REPORT = 'To report a problem, see http://surfer.nmr.mgh.harvard.edu/fswiki/BugReporting'
NO_RUNS = (
    'ERROR: no run data found in {0}/mri. Make sure to\n'
    'have a volume called 001.mgz in  {0}/mri/orig.\n'
    'If you have a second run of data call it 002.mgz, etc.\n'
    'See also: http://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/Conversion'
)
NO_SUBJECTS = (
    'ERROR: environment variable SUBJECTS_DIR not set\n'
    '  this can be done by setting it in the shell before\n'
    '  executing recon-all or by using the -sd flag'
)
EXISTS = (
    'ERROR: You are trying to re-run an existing subject with (possibly)\n'
    ' new input data (-i). If this is truly new input data, you should delete\n'
    ' the subject folder and re-run, or specify a different subject name.\n'
    ' If you are just continuing an analysis of an existing subject, then \n'
    ' omit all -i flags.'
)
NOTHING = (
    'ERROR: nothing to do. You must specify an operation to perform by adding\n'
    'flags. Eg, -all, -autorecon1, -autorecon2, -autorecon3, etc.'
)
EXPERT_EXISTS = (
    'ERROR: there is a pre-existing expert options file and\n'
    'you have specified an expert options file on the command-line.\n'
    'If you want to use the file specified on the command-line,\n'
    'you must run with -xopts-overwrite, or you may edit the \n'
    'existing file {} (and not use the -expert option).'
)
RUNNING = (
    '\nERROR: it appears that recon-all is already running\n'
    'for {subject} based on the presence of {file}. It could\n'
    'also be that recon-all was running at one point but\n'
    'died in an unexpected way. If it is the case that there\n'
    'is a process running, you can kill it and start over or\n'
    'just let it run. If the process has died, you should type:\n\n'
    ' rm {file}\n\n'
    'and re-run. Or you can add -no-isrunning to the recon-all\n'
    'command-line. The contents of this file are:\n'
    '----------------------------------------------------------\n'
    '{content}'
    '----------------------------------------------------------'
)
