import type { Message } from '../message.ts';

// `privacy.what.CHECK` and `privacy.how.CHECK`: what a line of `tocsin privacy verify` checks, and from where.
export const privacy = {
  'privacy.part.sensor': { en: 'SENSOR', fr: 'CAPTEUR' },
  'privacy.part.listener': { en: 'LISTENER (hears)', fr: 'ÉCOUTEUR (entend)' },
  'privacy.part.courier': { en: 'COURIER (speaks)', fr: 'COURRIER (parle)' },
  'privacy.state.pass': { en: 'ok', fr: 'ok' },
  'privacy.state.fail': { en: 'FAIL', fr: 'ÉCHEC' },
  'privacy.state.unchecked': { en: 'unchecked', fr: 'non fait' },
  'privacy.summary': {
    en: '{passed} ok, {failed} failed, {unchecked} could not be checked',
    fr: '{passed} ok, {failed} en échec, {unchecked} non vérifiables',
  },
  'privacy.digest': { en: 'digest of this report: {digest}', fr: 'empreinte de ce rapport : {digest}' },
  'privacy.unrecorded': {
    en: 'The result was not handed to the courier: {path}: {reason}',
    fr: 'Le résultat n’a pas été transmis au courrier : {path} : {reason}',
  },
  'privacy.failed': { en: 'failed checks: {failed} of {all}', fr: 'contrôles en échec : {failed} sur {all}' },
  'privacy.failed.try': {
    en: 'each FAIL above says what was found; the command below it shows the same',
    fr: 'chaque ÉCHEC ci-dessus dit ce qui a été trouvé ; la commande en dessous le montre',
  },
  'privacy.incomplete': {
    en: 'nothing failed; checks that could not be made: {unchecked} ({passed} passed)',
    fr: 'aucun échec ; contrôles qui n’ont pu être faits : {unchecked} (réussis : {passed})',
  },
  'privacy.incomplete.try': {
    en: 'run it as root on the sensor, with both services running; each line above says what it lacks',
    fr: 'lancez-le en root sur le capteur, les deux services en marche ; chaque ligne dit ce qui lui manque',
  },

  'privacy.what.package': { en: 'The installed files match their list', fr: 'Les fichiers installés correspondent à leur liste' },
  'privacy.how.package': { en: 'sha256 of every file, compared with the list tocsin.sha256', fr: 'sha256 de chaque fichier comparé à la liste tocsin.sha256' },
  'privacy.what.model': { en: 'The model is the one its manifest names', fr: 'Le modèle est celui que nomme son manifeste' },
  'privacy.how.model': { en: 'sha256 of the ONNX file, compared with manifest.json', fr: 'sha256 du fichier ONNX comparé à manifest.json' },
  'privacy.what.config': { en: 'The settings are those that the operator published', fr: 'Les réglages sont ceux que l’exploitant a publiés' },
  'privacy.how.config': {
    en: 'what may be published with these settings, compared key by key with the published manifest',
    fr: 'ce qui peut être publié avec ces réglages, clé par clé, comparé au manifeste publié',
  },
  'privacy.what.unchanged': { en: 'What runs is what is on the disk', fr: 'Ce qui tourne est ce qui est sur le disque' },
  'privacy.how.unchanged': {
    en: 'no file of program, model or settings changed after the processes started',
    fr: 'aucun fichier du programme, du modèle ou des réglages modifié après le démarrage des processus',
  },
  'privacy.what.outbox': { en: 'The file between listener and courier can hold no sound', fr: 'Le fichier entre écouteur et courrier ne peut contenir de son' },
  'privacy.how.outbox': {
    en: 'schema of the outbox compared to the letter with that of this release, and every row within its bounds',
    fr: 'schéma de la file comparé à la lettre à celui de cette version, et chaque ligne dans ses bornes',
  },
  'privacy.what.access': { en: 'The outbox is alone in its folder, closed to others', fr: 'La file est seule dans son dossier, fermée aux autres' },
  'privacy.how.access': {
    en: 'every name in its folder, the modes and attributes of its files, that ballast and locks hold no content, and that the copy of the schema beside it is that of the outbox',
    fr: 'chaque nom dans son dossier, les modes et les attributs de ses fichiers, que lest et verrous sont sans contenu, et que la copie du schéma à côté est bien celle de la file',
  },

  'privacy.what.process': { en: 'It runs, and no foreign process with it', fr: 'Il tourne, et aucun processus étranger avec lui' },
  'privacy.how.process': {
    en: 'the main process, its descendants and its control group',
    fr: 'processus principal, ses descendants et son groupe de contrôle',
  },
  'privacy.what.program': { en: 'It runs the installed program and no other code', fr: 'Il exécute le programme installé et aucun autre code' },
  'privacy.how.program': {
    en: 'executable, arguments, environment and mapped code in /proc',
    fr: 'exécutable, arguments, environnement et code chargé dans /proc',
  },
  'privacy.what.network': { en: 'It has no network', fr: 'Il n’a pas de réseau' },
  'privacy.how.network': {
    en: 'its network namespace compared with that of the machine, its interfaces, and who else is in it',
    fr: 'son espace réseau comparé à celui de la machine, ses interfaces, et qui d’autre s’y trouve',
  },
  'privacy.what.sockets.listener': {
    en: 'It holds only local sockets, and only that of the meter accepts connections',
    fr: 'Il n’a que des sockets locaux, et seul celui de la commande meter accepte des connexions',
  },
  'privacy.how.sockets.listener': {
    en: 'every open socket in /proc, compared with the tables of its network namespace',
    fr: 'chaque socket ouvert dans /proc comparé aux tables de son espace réseau',
  },
  'privacy.what.sockets.courier': {
    en: 'It is connected to the broker alone, and accepts no connection',
    fr: 'Il n’est relié qu’au broker et n’accepte aucune connexion',
  },
  'privacy.how.sockets.courier': {
    en: 'every open socket in /proc; far ends compared with mqtt.url and the resolver; sockets that listen',
    fr: 'chaque socket ouvert dans /proc ; extrémités comparées à mqtt.url et au résolveur ; sockets en écoute',
  },
  'privacy.what.meter': {
    en: 'It sees neither what the meter shows nor what the listener tells systemd',
    fr: 'Il ne voit ni ce que montre la commande meter ni ce que l’écouteur dit à systemd',
  },
  'privacy.how.meter': {
    en: 'whether it can see the sockets of the meter, of the message bus and of systemd, and whether it may open them',
    fr: 'voit-il les sockets de la commande meter, du bus de messages et de systemd, et peut-il les ouvrir',
  },
  'privacy.what.calls': { en: 'It can ask no other program to speak for it', fr: 'Il ne peut demander à aucun autre programme de parler pour lui' },
  'privacy.how.calls': {
    en: 'local sockets and named pipes of other programs that it sees and may open: a resolver or message bus would reach the network',
    fr: 'sockets locaux et tubes nommés d’autres programmes qu’il voit et peut ouvrir : un résolveur ou un bus atteindrait le réseau',
  },
  'privacy.what.files': {
    en: 'It writes no file but the outbox, and the courier its notes',
    fr: 'Il n’écrit aucun fichier sauf la file, et le courrier ses notes',
  },
  'privacy.how.files': { en: 'files open or mapped for writing in /proc', fr: 'fichiers ouverts ou projetés en écriture dans /proc' },
  'privacy.what.writable': { en: 'It could write nowhere else', fr: 'Il ne pourrait écrire nulle part ailleurs' },
  'privacy.how.writable': { en: 'the mounts it sees that are not read-only', fr: 'les montages qu’il voit et qui ne sont pas en lecture seule' },
  'privacy.what.devices': { en: 'It holds no device that it should not', fr: 'Il n’a ouvert aucun appareil qu’il ne devrait pas' },
  'privacy.how.devices': {
    en: 'devices open in /proc: sound for the listener, none for the courier',
    fr: 'appareils ouverts, d’après /proc : le son pour l’écouteur, aucun pour le courrier',
  },
  'privacy.what.reach': { en: 'It could open no other device', fr: 'Il ne pourrait ouvrir aucun autre appareil' },
  'privacy.how.reach': { en: 'the device nodes in the /dev that it really sees', fr: 'les nœuds d’appareil du /dev qu’il voit vraiment' },
  'privacy.what.hearing': {
    en: 'No other program records, and it can ask none to hear for it',
    fr: 'Aucun autre programme n’enregistre, et il ne peut demander à aucun d’entendre pour lui',
  },
  'privacy.how.hearing': {
    en: 'programs that record, that hold a sound device or are sound servers, and where they accept connections: ports of its network, sockets it may open',
    fr: 'programmes qui enregistrent, utilisent un appareil de son ou sont des serveurs de son, et où ils acceptent des connexions : ports de son réseau, sockets qu’il peut ouvrir',
  },
  'privacy.what.identity': { en: 'It runs as a user of its own, in no group that it does not need', fr: 'Il a son propre utilisateur et aucun groupe inutile' },
  'privacy.how.identity': { en: 'Uid, Gid and Groups in /proc', fr: 'Uid, Gid et Groups dans /proc' },
  'privacy.what.privileges': { en: 'It can gain no privilege', fr: 'Il ne peut acquérir aucun privilège' },
  'privacy.how.privileges': { en: 'NoNewPrivs in /proc', fr: 'NoNewPrivs dans /proc' },
  'privacy.what.capabilities': { en: 'It has no capability', fr: 'Il n’a aucune capacité' },
  'privacy.how.capabilities': { en: 'the five sets of capabilities in /proc', fr: 'les cinq ensembles de capacités dans /proc' },
  'privacy.what.seccomp': { en: 'Its system calls are filtered', fr: 'Ses appels système sont filtrés' },
  'privacy.how.seccomp': {
    en: 'Seccomp in /proc, and no io_uring, which no filter sees',
    fr: 'Seccomp dans /proc, et pas d’io_uring, qu’aucun filtre ne voit',
  },
  'privacy.what.traced': { en: 'Nobody looks into its memory', fr: 'Personne ne regarde dans sa mémoire' },
  'privacy.how.traced': {
    en: 'TracerPid of each thread in /proc, and who holds its memory open',
    fr: 'TracerPid de chaque fil dans /proc, et qui tient sa mémoire ouverte',
  },
  'privacy.what.core': { en: 'A crash leaves no image of its memory', fr: 'Un plantage ne laisse pas d’image de sa mémoire' },
  'privacy.how.core': {
    en: 'limit and filter of core dumps in /proc, who would receive them, and whether a crash kernel is loaded',
    fr: 'limite et filtre des images mémoire dans /proc, qui les recevrait, et si un noyau de secours est chargé',
  },
  'privacy.what.unit': { en: 'systemd applies the shipped settings to it', fr: 'systemd lui applique les réglages livrés' },
  'privacy.how.unit': {
    en: 'the file of the unit compared with that of the release, every line that a drop-in adds, and the properties in force (systemctl show), read before it was started',
    fr: 'fichier de l’unité comparé à celui de la version, chaque ligne qu’un ajout y met, et les propriétés en vigueur (systemctl show), lues avant son démarrage',
  },
  'privacy.what.limits': { en: 'It cannot take the board down', fr: 'Il ne peut pas épuiser la carte' },
  'privacy.how.limits': { en: 'memory.max and pids.max of its control group', fr: 'memory.max et pids.max de son groupe de contrôle' },
  'privacy.what.swap': { en: 'None of its memory goes to a disk', fr: 'Rien de sa mémoire ne va sur un disque' },
  'privacy.how.swap': { en: 'VmSwap, memory.swap.max and the swap areas of the machine', fr: 'VmSwap, memory.swap.max et les espaces d’échange de la machine' },
} as const satisfies Record<string, Message>;
