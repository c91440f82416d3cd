"""What the synthetic speakers say: our own short sentences, and word lists for random utterances.

Sentences were written for this project to cover the sounds of each language. Random utterances string words together without
sense: S2L must follow sounds, not sentences, and random order gives sound pairs that no sentence bank has.
"""

import numpy as np

SENTENCES: dict[str, tuple[str, ...]] = {
    "en-us": (
        "Five big boats moved slowly past the quiet fishing village before noon.",
        "My brother keeps a blue parrot that whistles whenever the phone rings.",
        "We should have bought more bread, because everyone is coming over tonight.",
        "Please put the heavy box on the lower shelf behind the wooden door.",
        "The weather forecast promised sunshine, but thick fog covered the whole bay.",
        "Could you show me where the yellow buses stop on Thursday evenings?",
        "She measured the width of the path and wrote it down very carefully.",
        "Nobody believed that the old machine would ever work again, yet it did.",
        "Fresh apples, juicy plums and ripe peaches filled both of the baskets.",
        "Our teacher asked for a short poem about rivers, clouds and a lost shoe.",
        "If you move the camera a bit, both of us will be in the picture.",
        "He thought about the question for a while and then chose the other cup.",
    ),
    "en": (
        "The kettle was boiling over while Margaret searched for her other glove.",
        "Half of the garden is in shade, so the beans grow rather poorly there.",
        "I would rather walk along the harbour than wait for a later bus.",
        "Every morning the baker opens his window and shouts to the postman.",
        "You can borrow my umbrella, provided that you bring it back by Sunday.",
        "They mended the roof with slate, copper nails and a great deal of patience.",
        "What a pity that the museum shuts before we have seen the pottery.",
        "Three small foxes vanished through a hole beneath the village church.",
    ),
    "de": (
        "Am Abend spielten die Kinder noch lange auf der Wiese hinter dem Bahnhof.",
        "Bitte bring mir zwei Kilo Äpfel und ein frisches Brot vom Bäcker mit.",
        "Der Zug nach München fährt heute leider erst um zwanzig nach fünf ab.",
        "Meine Großmutter erzählt gern von früher, als hier noch Mühlen standen.",
        "Über den Dächern der Altstadt zogen schwarze Wolken langsam nach Osten.",
        "Wir möchten nächste Woche endlich das neue Museum am Fluss besuchen.",
    ),
    "fr": (
        "Chaque matin, le boulanger ouvre sa boutique avant que le village se réveille.",
        "Nous avons vu une belle lune ronde au-dessus du vieux pont de pierre.",
        "Peux-tu me prêter ton parapluie bleu jusqu'à demain après-midi ?",
        "Un petit chat gris dormait sous la fenêtre ouverte de la cuisine.",
        "Il faut beaucoup de patience pour apprendre à jouer du violon.",
        "Mes voisins ont planté des pommiers et des fleurs le long du chemin.",
    ),
    "es": (
        "Por la mañana mi abuela prepara café y abre todas las ventanas de la casa.",
        "El perro del vecino corre muy rápido cuando oye llegar el autobús.",
        "Queremos visitar el pueblo blanco que está detrás de aquella montaña.",
        "¿Puedes bajar un poco la música? El bebé acaba de dormirse.",
        "Compramos pan, queso, uvas y una botella de agua para el viaje.",
        "La lluvia golpeaba suavemente el techo mientras hablábamos del futuro.",
    ),
    "it": (
        "Ogni domenica mio zio prepara una zuppa di verdure per tutta la famiglia.",
        "La bambina ha trovato una chiave d'oro sotto la panca del giardino.",
        "Vorrei comprare due biglietti per il treno che parte dopo pranzo.",
        "Il vento muoveva piano le foglie degli alberi lungo la spiaggia.",
        "Questo quadro piccolo mi piace molto più di quello grande.",
        "Abbiamo camminato per ore prima di raggiungere la cima del monte.",
    ),
    "pt-br": (
        "O menino guardou a bola vermelha embaixo da cama antes de dormir.",
        "Amanhã cedo vamos pegar o barco e passar o dia inteiro na ilha.",
        "Minha irmã faz um bolo de laranja muito bom para o café da tarde.",
        "Você pode fechar a porta, por favor? Está fazendo bastante frio.",
        "Os pássaros cantavam no jardim enquanto a chuva fina caía.",
        "Ninguém sabia onde ficava a velha estação de trem da cidade.",
    ),
    "nl": (
        "De jongen fietste elke ochtend langs het water naar zijn nieuwe school.",
        "Kun je morgen wat vers brood, boter en een pot honing meenemen?",
        "Achter ons huis staat een grote boom vol met kleine gele vogels.",
        "Vroeger voer hier een schip met bloemen en groente door de gracht.",
        "Het regende zo hard dat niemand meer buiten wilde spelen.",
        "Zij schreef een lange brief aan haar oom in Groningen.",
    ),
    "sv": (
        "På sommaren brukar vi bada i sjön bakom den gamla röda ladan.",
        "Kan du hjälpa mig att bära in de tunga stolarna före middagen?",
        "Min kusin köpte ett piano men har aldrig lärt sig att spela.",
        "Sju små fåglar satt på taket och väntade på att solen skulle komma.",
        "Det blåste hårt när båten lämnade hamnen tidigt på morgonen.",
        "Vi hittade många blåbär och några gula svampar i skogen.",
    ),
    "pl": (
        "Wieczorem babcia opowiadała nam bajki o smokach i mądrej księżniczce.",
        "Proszę kupić chleb, masło, pięć jabłek i trochę białego sera.",
        "Mój brat codziennie jeździ rowerem do pracy przez stary park.",
        "Nad rzeką stoi mały dom z zielonym dachem i dużym ogrodem.",
        "Czy możesz zamknąć okno, zanim zacznie padać deszcz?",
        "W zimie lubimy pić gorącą herbatę z miodem i cytryną.",
    ),
    "tr": (
        "Sabahları büyük annem bahçedeki çiçekleri sular ve kuşlara yem verir.",
        "Yarın öğleden sonra vapurla karşıya geçip müzeyi gezeceğiz.",
        "Küçük çocuk mavi topunu ağacın altında buldu ve çok sevindi.",
        "Lütfen pencereyi kapatır mısın, dışarıda rüzgâr var.",
        "Pazardan taze ekmek, peynir, üzüm ve biraz bal aldık.",
        "Eski köprünün yanında herkes fotoğraf çekiyordu.",
    ),
    "ru": (
        "Утром дедушка пьёт чай с мёдом и читает вслух старую газету.",
        "Мы долго шли по лесу и нашли поляну, полную жёлтых цветов.",
        "Пожалуйста, купи по дороге домой хлеб, масло и бутылку воды.",
        "Маленькая девочка быстро бежала вдоль берега за белой собакой.",
        "Завтра вечером мой брат приедет на поезде из другого города.",
        "Почему вы ещё не открыли это большое окно?",
    ),
}
"""Language code of espeak-ng -> sentences of 3 to 6 seconds."""

_WORDS = {
    "en-us": "above actor amber animal answer apple arrow autumn baby bamboo basket beach before begin below between bicycle "
    "blossom bottle bridge brother bubble budget butter button camera candle carpet castle cheese chimney church circle "
    "climate coffee common copper cousin culture dancing danger daughter decide desert dinner doctor double dragon early "
    "eleven empty engine evening every family feather fever fifty finger five flower foggy forest forever fourth frozen "
    "garage garden gentle giant glove golden grandma grape green guitar hammer happy harbour heavy highway hobby honey "
    "hundred idea island jacket january journey jungle kitchen ladder lemon letter library lobster machine magic marble "
    "measure melody memory mighty minute mirror monkey morning mother mountain movie museum mushroom music nephew never "
    "ninth nobody notice number object ocean office onion open orange oven oyster paper parade parent pebble pepper people "
    "phone photo piano picture pillow planet pleasure pocket pool poor power pretty prove pumpkin purple puzzle quarter "
    "question quiet rabbit rainbow remember river robot rocket rough ruler sandwich school season seven shadow shallow "
    "sheep shoulder silver simple sister sixty smooth soap sofa soup south special spoon spring square station stomach "
    "stone summer sunshine super sweater swimming table teacher thank thermos thick thousand three thumb ticket tiger "
    "tomorrow tooth tower treasure truth tube tulip turtle twelve umbrella under usual valley vegetable version video "
    "village violin voice volume wagon water weather welcome whale whisper window winter wisdom wolf wonder wooden world "
    "yellow yesterday young zebra zero",
    "en": "aeroplane afternoon autumn banana bath biscuit bookshop borough bottle butcher castle chalk cinema clerk "
    "cupboard curry dance dozen draught fortnight garage glass half harvest hedge jumper kettle laugh lorry marmalade "
    "motorway nothing orchard parcel pavement plumber pond postcode pudding puddle queue rather scarf shepherd spanner "
    "squash stable thirsty tomato trousers tunnel umbrella vase village wardrobe whistle yoghurt",
    "en-gb-scotland": "bonnie bridge brook burn castle church glen heather hill highland house island kirk ladder lake loch "
    "moor morning mountain north path porridge purple rain river sheep shore stone thistle valley water wind wool",
    "de": "abend apfel bäume bühne dorf eichhörnchen fenster feuer freund fünf garten geschichte haus himmel honig jäger "
    "käse kirche königin küche licht löffel mädchen mutter möwe nacht öl pfeffer pflaume quelle regen schaf schlüssel "
    "schmetterling spiegel straße stühle tisch übung vogel wasser wolke würfel zeit zug zwiebel",
    "fr": "abeille amour arbre automne bateau beurre bonjour bouche café chambre chemin cheval ciel cuisine demain eau "
    "enfant feuille fille fleur fromage genou hiver horloge jardin jaune juillet lapin lumière lune maison matin montagne "
    "neige nuage oiseau orange oeuf pain parapluie peur plage poisson pomme printemps rivière rouge soleil sucre "
    "vent vigne voiture",
    "es": "abrazo agua amarillo amigo árbol arroz barco bosque calle camino canción ciudad cuchara dulce espejo fiesta "
    "flor fuego gato guitarra hermano hoja huevo invierno jamón jueves lápiz leche libro luna llave lluvia mañana mesa "
    "montaña naranja niño nube oveja pájaro perro playa puente queso reloj río rojo sombra tierra uva vaca viento zapato",
    "it": "acqua albero amico arancia barca bosco bottiglia cavallo chiave cielo cucina dolce estate fiore foglia "
    "formaggio fuoco gatto ghiaccio giardino giorno gnocchi inverno isola latte libro luna mano mare montagna neve nuvola "
    "occhio ombra pane pesce pioggia ponte porta quadro ragazzo sabbia sciarpa scuola sedia sole spiaggia strada uovo "
    "vento zucchero",
    "pt-br": "abelha água amanhã amigo árvore azul barco bolo cachorro café caminho chuva cidade coração doce escola espelho "
    "estrela feijão flor fogo gato homem ilha inverno irmão jardim janela laranja leite livro lua maçã manhã mar melão "
    "montanha nuvem olho pão pássaro peixe ponte porta praia rio roxo sapato sol tempo uva velho vento vizinho",
    "nl": "appel avond bloem boom boter brug brood bureau deur duif eiland feest fiets gezin goud gracht groente haven "
    "hemel honing huis jas kaas kerk keuken klok koning licht lucht maan melk muur nacht oog paard regen rivier schaap "
    "school sneeuw spiegel stoel straat trein tuin uil veer vis vogel vuur water wind wolk zee zomer zon",
    "sv": "afton berg björk blomma bröd bil dag dörr fågel fönster gräs gul hav himmel hjärta hund hus höst is katt kjol "
    "kniv kyrka köpa ljus lön mjölk moln måne natt nyckel ost potatis regn röd saga sjö skog skola sked skina sol sommar "
    "stjärna stol strand sju tåg träd ugn vatten vind vår äpple öga ö",
    "da": "aften bjerg blomst brød dag dør fisk fugl græs hav himmel hund hus hvid jord kage kirke kniv lys mælk måne nat "
    "nøgle ost regn rød sang sky skov sne sol sommer stjerne strand træ vand vej vind vinter æble øje år",
    "nb": "båt berg blomst brød dør elv fjell fjord fugl gress hav himmel hund hus høst jul kake kirke kjøkken lys melk "
    "måne natt nøkkel ost regn rød sjø skog skole snø sol sommer stjerne strand tre vann vei vind vår øye år",
    "pl": "brzoza chleb chmura cukier dom drzewo dziecko dzień gwiazda herbata jabłko jesień jezioro kawa klucz koń "
    "książka księżyc kwiat las lato liść łódka miasto miód morze most niebo noc ogród okno pies piosenka pociąg ptak rower "
    "ryba rzeka ser słońce śnieg szkoła świeca talerz trawa ulica wiatr woda wieczór zegar zima żaba źródło",
    "cs": "babička bota chléb cesta čaj děti dřevo dům dveře hora hvězda jablko jaro jezero káva kniha kočka kůň květina "
    "les léto měsíc město mlha most noc oblak okno pes píseň podzim pták ráno řeka ryba slunce sníh stůl škola švestka "
    "tráva ulice večer vítr voda zahrada zima žába",
    "tr": "ağaç akşam anne arkadaş balık bahçe bulut büyük çay çiçek çocuk deniz dağ ekmek elma ev gece göl gökyüzü güneş "
    "ırmak ışık kapı kar kedi kitap köprü köy kuş küçük masa mavi meyve müzik orman öğretmen pencere rüzgâr sabah sarı "
    "şehir şeker soğuk süt tatlı üzüm vapur yağmur yaz yıldız yol zeytin",
    "ru": "берёза ветер вечер вода воздух гора город дверь дерево дождь дом жёлтый журнал звезда зима зонт икра книга "
    "кошка лес лето лодка луна мёд море музыка небо ночь облако огонь окно осень песня поезд поле птица радуга река рыба "
    "свет семья сестра снег собака солнце сыр улица утро хлеб цветок чай шапка школа щука яблоко юг",
    "uk": "берег вечір вода гора город двері дерево дощ дім дорога жито зима зірка квітка книга ліс літо мова море місто "
    "небо ніч осінь пісня поле птах ранок риба річка світло село сніг сонце трава хліб хмара цукор чай школа яблуко",
    "bg": "вечер вода вятър гора град ден дърво дъжд дете езеро есен зима звезда изгрев котка къща лято луна майка масло "
    "море мост нощ облак огън песен планина поле прозорец птица път река роза слънце сняг трева хляб цвете чаша ябълка",
    "fi": "aamu aurinko hevonen hiekka hymy ilta järvi joki juusto kala kala keltainen kesä kirja kivi koira kukka kuu "
    "leipä lintu lumi maito meri metsä mökki mäki nalle omena ovi pöytä pilvi puu päivä ranta sade saari sininen sauna "
    "syksy talvi taivas tuuli tähti vesi vene ystävä yö äiti öljy",
    "hu": "ablak alma anya ajtó asztal barát csillag cukor eső erdő este fa fehér fű gyerek gyümölcs hal hegy híd hold hó "
    "kék kenyér kert könyv kutya kút levél ló madár méz nap nyár ősz öröm piros patak szél szék szőlő tavasz tej tél tó tűz "
    "út utca üveg város víz virág zöld zene",
    "ro": "apă albastru apus biserică brânză cafea cântec casă câine cer copil copac drum fereastră floare foc fruct ghiveci "
    "grădină iarnă iarbă inimă jucărie lapte lună lumină mare măr miere munte nor noapte oraș ochi pâine pădure pod ploaie "
    "pod râu roșu seară soare stea școală toamnă uliță vânt vară zăpadă ziuă",
    "el": "αγάπη αέρας άνεμος βιβλίο βουνό βράδυ βροχή γάλα γάτα γέφυρα γλυκό δέντρο δρόμος ελιά ήλιος θάλασσα θέατρο "
    "ιστορία καλοκαίρι κήπος κόκκινο λουλούδι μέλι μήλο μουσική νερό νησί νύχτα ξύλο ουρανός παιδί παράθυρο πόρτα ποτάμι "
    "πουλί πρωί σκύλος σπίτι σύννεφο τραπέζι τυρί φεγγάρι φθινόπωρο φωτιά χειμώνας χιόνι ψάρι ψωμί ώρα",
    "sw": "asali asubuhi bahari barabara bustani chai chakula daraja dirisha furaha giza habari jani jioni jua kahawa kesho "
    "kijiji kiti kitabu kuku maji maua mbuzi mlango mlima moto mtoto mti muziki mvua mwezi ng'ombe ndege nyota nyumba pwani "
    "rafiki samaki shule siku soko sukari upepo usiku watu wimbo ziwa",
    "id": "air angin anak api awan bambu batu bintang buah bulan bunga burung cahaya cantik danau daun desa dingin gelas "
    "gula gunung hijau hujan hutan ibu ikan jalan jembatan jendela kapal kayu kopi kucing kuning langit laut lagu madu "
    "malam matahari musim nasi nyanyi pagi pantai pintu pulau rumah rumput sungai susu taman teman ungu",
    "eo": "abelo akvo amiko arbo aŭtuno bela birdo blua ĉambro ĉevalo ĉielo domo dolĉa fajro fenestro fiŝo floro frukto "
    "ĝardeno hejmo herbo hundo infano insulo ĵaŭdo kafo kanto kato lakto libro lumo luno maro mateno mielo monto muziko "
    "nokto nubo ondo pano pluvo ponto pordo printempo rivero ruĝa sabla somero stelo suno ŝipo tago urbo vento vojo",
    "cmn": "早晨 天空 白云 下雨 学校 老师 朋友 苹果 面包 牛奶 绿色 红色 月亮 太阳 星星 春天 夏天 秋天 冬天 河流 大海 山 火车 "
    "飞机 音乐 图书 窗户 花园 小鸟 鱼 猫 狗 茶 米饭 水果 城市 村庄 快乐 谢谢 昨天 今天 明天 兔子 女儿 儿子 桥 路 日出",
    "hi": "आम आकाश बादल बारिश बच्चा भाई चाँद चाय छत दरवाज़ा दोस्त दूध फूल फल गाँव घर घोड़ा गाना हाथ हवा झील जंगल खिड़की किताब "
    "लाल माँ मछली मेज़ नदी नाव नीला पानी पहाड़ पक्षी पुल रात रोटी सड़क सुबह सूरज शाम तारा ठंडा उजाला वर्षा",
}
LANGUAGES = tuple(_WORDS)
"""All languages there are random words for."""
ENGLISH = tuple(language for language in LANGUAGES if language.startswith("en"))
WORDS: dict[str, tuple[str, ...]] = {language: tuple(words.split()) for language, words in _WORDS.items()}


def random_words(rng: np.random.Generator, language: str, n_words: int) -> str:
    """``n_words`` words of ``language`` in random order, in one to three breath groups separated by commas."""
    words = [str(word) for word in rng.choice(WORDS[language], n_words)]
    n_commas = min(n_words - 1, int(rng.integers(0, 3)))
    for position in rng.choice(np.arange(1, max(2, n_words)), size=n_commas, replace=False):
        words[position - 1] += ","
    return " ".join(words) + "."


def utterance_text(rng: np.random.Generator, language: str, sentence_share: float) -> str:
    """A sentence of ``language`` with probability ``sentence_share`` (where there are any), else 5 to 10 random words."""
    if language in SENTENCES and rng.random() < sentence_share:
        return str(rng.choice(SENTENCES[language]))
    return random_words(rng, language, int(rng.integers(5, 11)))
